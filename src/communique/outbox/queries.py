"""Questions that the verbs ask of the outbox."""

from uuid import UUID

from django.db.models import QuerySet

from ..models import Communication, EventRecord
from ..states import Stage, Verdict


def communications_of(using: str, event: UUID) -> QuerySet[Communication]:
    """What an event led to so far."""
    return Communication.objects.using(using).filter(event__uid=event).order_by("pk")


def waiting(using: str, event: UUID) -> bool:
    """Something about this event is still to be done: it is not expanded, or a verdict is pending."""
    unexpanded = EventRecord.objects.using(using).filter(uid=event, stage__in=(Stage.WAITING, Stage.CLAIMED))
    return unexpanded.exists() or communications_of(using, event).filter(verdict=Verdict.PENDING).exists()
