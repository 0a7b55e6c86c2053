"""Questions that the verbs ask of the outbox."""

from uuid import UUID

from django.db.models import QuerySet

from ..models import Communication
from ..states import Verdict


def communications_of(using: str, event: UUID) -> QuerySet[Communication]:
    """What an event led to so far."""
    return Communication.objects.using(using).filter(event__uid=event).order_by("pk")


def is_pending(using: str, event: UUID) -> bool:
    """A communication of this event has no verdict yet."""
    return communications_of(using, event).filter(verdict=Verdict.PENDING).exists()
