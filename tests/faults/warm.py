"""Imported once, by the process that workers are forked from: sixteen of them must not each load Django."""

import django

django.setup()

import communique.management.commands.communique_worker
import communique.rendering
import communique.sending  # noqa: F401
