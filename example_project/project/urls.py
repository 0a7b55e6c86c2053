"""Addresses of the example shop: the shop itself and the admin, where communications are told."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("shop.urls")),
]
