"""Deliveries that end without an attempt: expired, their subject gone, cancelled."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from ..models import Communication, Delivery
from ..reasons import Reason
from ..states import State, Verdict
from .claims import Claim, read
from .moves import conclude, move, record, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A claimed delivery that nobody will try (again), and why."""

    claim: Claim
    after: State
    reason: Reason
    detail: str = ""


def end(using: str, endings: Sequence[Ending], *, now: datetime, actor: str = "") -> set[int]:
    """End claimed deliveries, each with its reason; return those that were still ours."""
    ended: set[int] = set()
    groups: dict[tuple[State, Reason], list[Ending]] = defaultdict(list)
    for ending in endings:
        groups[ending.after, ending.reason].append(ending)
    with transaction.atomic(using=using):
        for (after, reason), group in groups.items():
            claims = [ending.claim for ending in group]
            moved = move(using, claims, State.CLAIMED, after, reason=reason, due_at=None)
            mine = [ending for ending in group if ending.claim.pk in moved]
            steps = (step(one.claim, State.CLAIMED, after, reason, now, actor=actor, detail=one.detail) for one in mine)
            record(using, steps)
            conclude(using, [one.claim.communication for one in mine], after, reason, now)
            ended |= moved
    return ended


def cancel(using: str, communications: Iterable[int], *, now: datetime, actor: str = "") -> int:
    """Cancel pending communications; return how many.

    What a provider is being given at this moment cannot be called back: should it be accepted, the communication
    is reached after all; should it fail, it is not tried again.
    """
    pks = list(communications)
    with transaction.atomic(using=using):
        # Deliveries before communications, as settling locks them: the other way round the two could deadlock.
        for before in (State.QUEUED, State.CLAIMED):
            claims = read(using, Delivery.objects.using(using).filter(communication__in=pks, state=before))
            moved = move(using, claims, before, State.CANCELLED, reason=Reason.CANCELLED, due_at=None)
            mine = (claim for claim in claims if claim.pk in moved)
            record(using, (step(one, before, State.CANCELLED, Reason.CANCELLED, now, actor=actor) for one in mine))
        pending = Communication.objects.using(using).filter(pk__in=pks, verdict=Verdict.PENDING)
        return pending.update(verdict=Verdict.CANCELLED, reason=Reason.CANCELLED, concluded_at=now)
