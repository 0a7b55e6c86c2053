"""What can be known to be wrong before the first message is sent: ids are never reused, each hint says the fix."""

from django.core.checks import register as register_check

from .messages import check_messages
from .registrations import check_registrations
from .settings import check_settings

__all__ = ["register"]


def register() -> None:
    """Called by AppConfig.ready, after every app's events and communications were discovered."""
    for check in (check_registrations, check_messages, check_settings):
        register_check(check, "communique")
