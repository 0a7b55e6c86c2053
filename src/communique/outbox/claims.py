"""From due rows to a leased batch, and what becomes of leases: renewed, given back, run out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F, QuerySet

from ..models import Attempt, Content, Delivery
from ..reasons import Reason
from ..states import MAX_STARTS, State, claimed_together
from .moves import conclude, move, new_token, record, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery under lease, with all that rendering and sending it needs."""

    pk: int
    token: int | None
    uid: UUID
    channel: str
    address: str
    starts: int
    tries: int
    unknowns: int
    created_at: datetime
    expires_at: datetime | None
    communication: int
    verdict: str
    message: str
    recipient: Mapping[str, Any]
    event: int
    event_key: str
    payload: Mapping[str, Any]
    content: bytes | None = None


_COLUMNS = {
    "pk": "pk",
    "token": "lease_token",
    "uid": "uid",
    "channel": "channel",
    "address": "address",
    "starts": "starts",
    "tries": "tries",
    "unknowns": "unknowns",
    "created_at": "created_at",
    "expires_at": "expires_at",
    "communication": "communication_id",
    "verdict": "communication__verdict",
    "message": "communication__message",
    "recipient": "communication__recipient",
    "event": "communication__event_id",
    "event_key": "communication__event__key",
    "payload": "communication__event__payload",
}


def claim(
    using: str,
    *,
    limit: int,
    now: datetime,
    lease: timedelta,
    priorities: Sequence[int],
    channels: Collection[str] | None = None,
) -> list[Claim]:
    """Lease up to ``limit`` due deliveries, by the given order of priorities and oldest first."""
    token = new_token()
    due = Delivery.objects.using(using).filter(state=State.QUEUED, due_at__lte=now)
    if channels is not None:
        due = due.filter(channel__in=channels)
    with transaction.atomic(using=using):
        rows: list[tuple[int, int]] = []
        for priority in priorities:
            if len(rows) < limit:
                oldest = _locked(due.filter(priority=priority).order_by("due_at"))
                rows += oldest.values_list("pk", "starts")[: limit - len(rows)]
        pks = claimed_together(rows)
        if not pks:
            return []
        # The guard repeats the state: without row locks (SQLite) somebody else may have been faster.
        Delivery.objects.using(using).filter(pk__in=pks, state=State.QUEUED).update(
            state=State.CLAIMED, lease_token=token, due_at=now + lease, starts=F("starts") + 1
        )
    claims = read(using, Delivery.objects.using(using).filter(pk__in=pks, lease_token=token, state=State.CLAIMED))
    order = {pk: position for position, pk in enumerate(pks)}
    return sorted(claims, key=lambda claim: order[claim.pk])


def _locked(due: QuerySet[Delivery]) -> QuerySet[Delivery]:
    # SQLite has one writer at a time and no row locks; Django drops the clause there, but says so nowhere.
    skip = connections[due.db].features.has_select_for_update_skip_locked
    return due.select_for_update(skip_locked=True) if skip else due


def read(using: str, deliveries: QuerySet[Delivery]) -> list[Claim]:
    """Read leased deliveries with what their communication and event say, and their content if it is frozen."""
    rows = list(deliveries.values_list(*_COLUMNS.values()))
    claims = [Claim(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
    return _with_content(using, claims)


def _with_content(using: str, claims: list[Claim]) -> list[Claim]:
    tried = {claim.communication for claim in claims if claim.tries}
    if not tried:
        return claims
    frozen = Content.objects.using(using).filter(communication__in=tried)
    bodies = {(c, channel): bytes(body) for c, channel, body in frozen.values_list("communication", "channel", "body")}
    return [_replace(claim, content=bodies.get((claim.communication, claim.channel))) for claim in claims]


def _replace(claim: Claim, **changes: Any) -> Claim:
    return Claim(**{name: getattr(claim, name) for name in Claim.__slots__} | changes)


def renew(using: str, held: Mapping[int, Collection[int]], *, now: datetime, lease: timedelta) -> int:
    """Heartbeat: extend the leases (token: delivery keys) that a process still holds in its hands."""
    renewed = 0
    for token, pks in held.items():
        mine = Delivery.objects.using(using).filter(lease_token=token, state__in=(State.CLAIMED, State.SENDING))
        with transaction.atomic(using=using):
            # What is locked is being moved by its sender this very moment: to wait for that with others locked here
            # would be a deadlock.
            free = list(_locked(mine.filter(pk__in=list(pks))).values_list("pk", flat=True))
            renewed += mine.filter(pk__in=free).update(due_at=now + lease)
    return renewed


def put_back(
    using: str,
    claims: Iterable[Claim],
    *,
    due_at: datetime,
    reason: Reason,
    now: datetime,
    tried: bool = False,
    actor: str = "",
    detail: str = "",
) -> set[int]:
    """Give claims back unopened. ``tried``: the try counts and is told in a step; else it never happened."""
    claims = list(claims)
    effect = {"tries": F("tries") + 1, "starts": 0} if tried else {"starts": F("starts") - 1}
    with transaction.atomic(using=using):
        moved = move(using, claims, State.CLAIMED, State.QUEUED, due_at=due_at, reason=reason, **effect)
        if tried:
            mine = (claim for claim in claims if claim.pk in moved)
            record(
                using,
                [step(one, State.CLAIMED, State.QUEUED, reason, now, actor=actor, detail=detail) for one in mine],
            )
    return moved


def lost(using: str, *, now: datetime, limit: int) -> list[tuple[Claim, int]]:
    """Deliveries whose sender disappeared with an attempt open, each with the key of that attempt."""
    orphans = Delivery.objects.using(using).filter(state=State.SENDING, due_at__lte=now).order_by("due_at")
    claims = read(using, orphans[:limit])
    still_open = Attempt.objects.using(using).filter(delivery__in=[claim.pk for claim in claims], closed_at=None)
    attempts = dict(still_open.values_list("delivery_id", "pk"))
    # The try was counted when it was opened; for whoever decides about it, it is the one that just ended.
    return [(_replace(claim, tries=claim.tries - 1), attempts[claim.pk]) for claim in claims if claim.pk in attempts]


def requeue_lost(using: str, *, now: datetime, limit: int) -> list[Claim]:
    """Queue again what was claimed and never opened when its lease ran out.

    After three such starts of its own it probably kills its sender: it is quarantined instead, and returned.
    """
    orphans = Delivery.objects.using(using).filter(state=State.CLAIMED, due_at__lte=now).order_by("due_at")
    claims = read(using, orphans[:limit])
    if not claims:
        return []
    with transaction.atomic(using=using):
        _lease_ended(using, [one for one in claims if one.starts <= MAX_STARTS], State.QUEUED, Reason.LEASE_LOST, now)
        deadly = [one for one in claims if one.starts > MAX_STARTS]
        return _lease_ended(using, deadly, State.QUARANTINED, Reason.KILLED_SENDERS, now)


def _lease_ended(using: str, claims: list[Claim], after: State, reason: Reason, now: datetime) -> list[Claim]:
    due_at = now if after is State.QUEUED else None
    moved = move(using, claims, State.CLAIMED, after, ran_out=now, reason=reason, due_at=due_at)
    mine = [claim for claim in claims if claim.pk in moved]
    record(using, [step(claim, State.CLAIMED, after, reason, now) for claim in mine])
    conclude(using, [claim.communication for claim in mine], after, reason, now)
    return mine
