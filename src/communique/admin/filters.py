"""List filters whose choices come from the code and the settings: none asks a table which values it holds."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import conf, events, messages
from ..models import Delivery


class _Known(admin.SimpleListFilter):
    """One of the keys that this process knows."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(key, key) for key in sorted(self.keys())]

    def keys(self) -> Iterable[str]:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class MessageFilter(_Known):
    title = _("message")
    parameter_name = "message"

    def keys(self) -> Iterable[str]:
        return messages.known()


class EventFilter(_Known):
    title = _("event")
    parameter_name = "key"

    def keys(self) -> Iterable[str]:
        return events.known()


class ChannelFilter(_Known):
    """Communications with a delivery on a channel."""

    title = _("channel")
    parameter_name = "channel"

    def keys(self) -> Iterable[str]:
        return conf.channels()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        # Not a join: one communication may have several deliveries on a channel.
        return queryset.filter(Exists(Delivery.objects.filter(communication=OuterRef("pk"), channel=self.value())))
