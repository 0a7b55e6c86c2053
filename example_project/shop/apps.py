"""The shop: a small host project with real orders and real messages."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"
