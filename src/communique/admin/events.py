"""Events: what happened, and what everybody made of it."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import events
from ..models import EventRecord, Reaction
from ..reporting import words
from ..states import Stage, Verdict
from .filters import EventFilter
from .readonly import ReadOnlyAdmin, as_uid, may_read, word

# An event may have a hundred thousand communications; its page shows the first, and the list has the others.
SHOWN = 50


@admin.register(EventRecord)
class EventAdmin(ReadOnlyAdmin):
    """What was published, and how far it has come."""

    list_display = ("event_key", "stage_word", "occurred", "due")
    list_filter = ("stage", EventFilter, "occurred_at")
    search_fields = ("uid",)  # for the search box to appear; get_search_results() says what is looked for
    search_help_text = _("A uid, or the dedupe key that an event was published under")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Exact matches by index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        uid = as_uid(term)
        return queryset.filter(Q(uid=uid) if uid else Q(dedupe_key__in=_dedupe_keys(term))), False

    def page(self, request: HttpRequest, row: EventRecord) -> dict[str, Any]:
        communications = list(row.communications.order_by("pk")[: SHOWN + 1])
        return {
            "title": row.key,
            "stage": self.stage_word(row),
            "payload": list(_payload(row, may_read(request))),
            "may_follow": request.user.has_perm("communique.view_communication"),
            "communications": [_communication(one) for one in communications[:SHOWN]],
            "has_more": len(communications) > SHOWN,
            "reactions": [_reaction(one) for one in row.reactions.order_by("subscriber")],
        }

    @admin.display(description=_("event"))
    def event_key(self, row: EventRecord) -> str:
        return row.key

    @admin.display(description=_("stage"))
    def stage_word(self, row: EventRecord) -> str:
        return word(words.label(Stage, row.stage), words.tone(row.stage))

    @admin.display(description=_("occurred"))
    def occurred(self, row: EventRecord) -> str:
        return words.stamp(row.occurred_at)

    @admin.display(description=_("due"))
    def due(self, row: EventRecord) -> str | None:
        return words.stamp(row.due_at) if row.due_at else None


def _dedupe_keys(term: str) -> list[str]:
    """A dedupe key as it is stored, or as it was given to ``publish()``: the events of one class share a name space."""
    return [term, *(f"{key}:{term}" for key in events.known())]


def _payload(event: EventRecord, may_read: bool) -> Iterator[dict[str, str]]:
    for key, value in event.payload.items():
        yield {"key": key, "value": json.dumps(value, ensure_ascii=False, indent=2) if may_read else ""}


def _communication(row: Any) -> dict[str, Any]:
    return {
        "pk": row.pk,
        "message": row.message,
        "recipient_key": row.recipient_key,
        "verdict": word(words.label(Verdict, row.verdict), words.tone(row.verdict)),
        "why": words.why(row.reason),
    }


def _reaction(row: Reaction) -> dict[str, Any]:
    return {
        "subscriber": row.subscriber,
        "stage": word(words.label(Stage, row.stage), words.tone(row.stage)),
        "why": words.why(row.reason),
        "detail": row.detail,
        "tries": row.tries,
        "due_at": row.due_at,
    }
