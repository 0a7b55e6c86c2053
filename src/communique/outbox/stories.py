"""From one communication to all the rows that tell about it, in a constant number of queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..models import Attempt, Communication, Content, Delivery, EventRecord, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Everything that is known of one communication, each kind in the order in which it was written."""

    communication: Communication
    event: EventRecord
    deliveries: Sequence[Delivery]
    attempts: Sequence[Attempt]
    steps: Sequence[Step]
    # Without their bodies: who may know that something was sent need not be allowed to read it.
    contents: Sequence[Content]


def rows_of(communication: Communication) -> Rows:
    """Read the event, deliveries, attempts, steps and contents of one communication: a query each."""
    using, pk = communication._state.db, communication.pk
    attempts = Attempt.objects.using(using).filter(delivery__communication=pk)
    return Rows(
        communication=communication,
        event=communication.event,
        deliveries=list(Delivery.objects.using(using).filter(communication=pk).order_by("leg", "pk")),
        attempts=list(attempts.order_by("opened_at", "pk")),
        steps=list(Step.objects.using(using).filter(communication=pk).order_by("at", "pk")),
        contents=list(Content.objects.using(using).filter(communication=pk).defer("body").order_by("pk")),
    )
