"""From a plan to rows: the communication, and the deliveries of its first leg."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..models import Communication, Delivery
from ..reasons import Reason
from ..states import State, Verdict

_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """One leg to one address, due as soon as it is written."""

    channel: str
    address: str
    priority: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommunication:
    """One message for one recipient; without a delivery it is unreachable from the start, for ``reason``."""

    event: int
    message: str
    recipient_key: str
    recipient: Mapping[str, Any]
    plan: Mapping[str, Any]
    deliveries: Sequence[NewDelivery]
    reason: Reason | None = None


def add(using: str, news: Iterable[NewCommunication], *, now: datetime) -> int:
    """Write communications and their first deliveries in bulk; return how many communications."""
    news = list(news)
    rows = [_communication(new, now) for new in news]
    Communication.objects.using(using).bulk_create(rows, batch_size=_BATCH)
    Delivery.objects.using(using).bulk_create(
        (_delivery(row.pk, one, now) for row, new in zip(rows, news, strict=True) for one in new.deliveries),
        batch_size=_BATCH,
    )
    return len(rows)


def _communication(new: NewCommunication, now: datetime) -> Communication:
    reached_nobody = not new.deliveries
    return Communication(
        event_id=new.event,
        message=new.message,
        recipient_key=new.recipient_key,
        recipient=new.recipient,
        plan=new.plan,
        created_at=now,
        verdict=Verdict.UNREACHABLE if reached_nobody else Verdict.PENDING,
        reason=new.reason or "",
        concluded_at=now if reached_nobody else None,
    )


def _delivery(communication: int, new: NewDelivery, now: datetime) -> Delivery:
    return Delivery(
        communication_id=communication,
        channel=new.channel,
        address=new.address,
        state=State.QUEUED,
        priority=new.priority,
        created_at=now,
        expires_at=new.expires_at,
        due_at=now,
    )
