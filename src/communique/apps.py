"""Where communique joins the host project: discovery, hooks, checks."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class CommuniqueConfig(AppConfig):
    """Discovers each app's ``events.py`` and ``communications.py``, and connects the verbs to what may call them."""

    name = "communique"
    verbose_name = _("Communications")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Not at import time: both need the app registry.
        from . import checks, engines, events, publishing

        events.install_publisher(publishing)
        publishing.install_wake(engines.wake)
        autodiscover_modules("events")
        autodiscover_modules("communications")
        checks.register()
