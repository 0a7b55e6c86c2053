"""Communications: the list that finds one, and the page that tells its story."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from .. import recipients
from ..exceptions import InvalidAddress
from ..models import Communication, Delivery
from ..reporting import story, words
from ..states import Verdict
from .contents import ContentPages
from .filters import ChannelFilter, MessageFilter
from .readonly import ReadOnlyAdmin, as_uid, cell


@admin.register(Communication)
class CommunicationAdmin(ContentPages, ReadOnlyAdmin):
    """Who was told what. The page of a communication is its story."""

    list_display = ("message_key", "verdict_and_reason", "recipient_and_channels", "created_and_effort")
    list_filter = ("verdict", MessageFilter, ChannelFilter, "created_at")
    list_select_related = ("event",)
    search_fields = ("uid",)  # for the search box to appear; get_search_results() says what is looked for
    search_help_text = _("An address, a uid (of a communication, delivery or event), or a recipient such as user:42")

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<int:pk>/content/<str:channel>/",
                self.admin_site.admin_view(self.content_view),
                name="communique_communication_content",
            ),
            path(
                "<int:pk>/content/<str:channel>/html/",
                self.admin_site.admin_view(self.html_view),
                name="communique_communication_html",
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("deliveries")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Exact matches by index: a LIKE would read every address there is."""
        term = search_term.strip()
        return (queryset.filter(_matching(queryset, term)) if term else queryset), False

    def page(self, request: HttpRequest, row: Communication) -> dict[str, Any]:
        told = story(row)
        return {
            "title": _("%(message)s for %(recipient)s") % {"message": told.message, "recipient": told.recipient},
            "story": told,
            "event_id": row.event_id,
            "may_see_event": request.user.has_perm("communique.view_eventrecord"),
        }

    @admin.display(description=_("message"))
    def message_key(self, row: Communication) -> str:
        return cell("key", parts=row.message.split("."))  # a narrow column breaks it at its dot

    @admin.display(description=_("verdict"))
    def verdict_and_reason(self, row: Communication) -> str:
        return cell(
            "verdict", text=words.label(Verdict, row.verdict), tone=words.tone(row.verdict), reason=_reason(row)
        )

    @admin.display(description=_("recipient"))
    def recipient_and_channels(self, row: Communication) -> str:
        return cell("recipient", recipient=_recipient(row), channels=_channels(row))

    @admin.display(description=_("created"))
    def created_and_effort(self, row: Communication) -> str:
        tries = sum(delivery.tries for delivery in row.deliveries.all())
        took = words.lasted(row.concluded_at - row.event.occurred_at) if row.concluded_at else ""
        return cell("created", created=words.stamp(row.created_at), tries=tries, took=took)


def _reason(row: Communication) -> str:
    if row.verdict != Verdict.PENDING:
        return words.why(row.reason)
    return " ".join(dict.fromkeys(words.why(one.reason) for one in row.deliveries.all() if one.reason))


def _recipient(row: Communication) -> str:
    addresses = dict.fromkeys(delivery.address for delivery in row.deliveries.all())
    return ", ".join(addresses) or row.recipient.get("email") or row.recipient.get("phone") or row.recipient_key


def _channels(row: Communication) -> str:
    used = dict.fromkeys(delivery.channel for delivery in row.deliveries.all())
    skipped = (_("%(channel)s (skipped)") % {"channel": one["channel"]} for one in row.plan.get("skipped", ()))
    return ", ".join([*used, *skipped])


def _matching(rows: QuerySet[Any], term: str) -> Q:
    if uid := as_uid(term):
        # One after the other: joined by OR, no database would use the three indexes.
        ways = (Q(uid=uid), Q(deliveries__uid=uid), Q(event__uid=uid))
        return next((way for way in ways if rows.filter(way).exists()), ways[0])
    if term.startswith(("user:", "address:")):
        return Q(recipient_key=term)
    return Q(pk__in=Delivery.objects.filter(address__in=_spellings(term)).values("communication"))


def _spellings(address: str) -> set[str]:
    """An address as typed, and as it would have been stored."""
    spellings = {address, address.lower()}
    try:
        return spellings | {recipients.normalise_email(one) for one in spellings}
    except InvalidAddress:
        return spellings
