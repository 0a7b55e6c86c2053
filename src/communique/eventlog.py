"""The only writer of events and reactions: recorded, claimed under a lease, finished or tried again."""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import Expression, F, QuerySet

from .models import EventRecord, Reaction
from .reasons import Reason
from .states import MAX_STARTS, Stage, claimed_together

_Due = type[EventRecord] | type[Reaction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An event under lease: to be expanded."""

    pk: int
    uid: UUID
    token: int
    starts: int
    key: str
    payload: Mapping[str, Any]
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedReaction:
    """One subscriber's share of an event, under lease."""

    pk: int
    token: int
    starts: int
    subscriber: str
    tries: int
    since: datetime
    event: Claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReaction:
    """Work for one subscriber: a handler to call, or a message whose recipients could not be found yet."""

    event: int
    subscriber: str
    due_at: datetime | None
    stage: Stage = Stage.WAITING
    reason: Reason | None = None
    detail: str = ""
    tries: int = 0


def record(
    using: str,
    *,
    uid: UUID,
    key: str,
    payload: Mapping[str, Any],
    occurred_at: datetime | Expression,
    due_at: datetime | Expression,
    dedupe: str | None = None,
) -> UUID:
    """Write one event, and nothing else; return its uid, or that of the earlier one with this dedupe key."""
    # Per event class: another event may use the same text for something else.
    dedupe_key = None if dedupe is None else f"{key}:{dedupe}"
    row = EventRecord(uid=uid, key=key, payload=payload, occurred_at=occurred_at, due_at=due_at, dedupe_key=dedupe_key)
    events = EventRecord.objects.using(using)
    if dedupe is None:
        row.save(using=using, force_insert=True)
        return uid
    # A conflict must not break the caller's transaction, so the database is told to skip instead of to fail.
    events.bulk_create([row], ignore_conflicts=True)
    return events.values_list("uid", flat=True).get(dedupe_key=dedupe_key)


def claim(using: str, *, limit: int, now: datetime, lease: timedelta) -> list[Claimed]:
    """Lease up to ``limit`` due events, oldest first."""
    columns = ("pk", "uid", "lease_token", "starts", "key", "payload", "occurred_at")
    rows = _lease(using, EventRecord, limit=limit, now=now, lease=lease).values_list(*columns)
    return [Claimed(**dict(zip(Claimed.__slots__, row, strict=True))) for row in rows]


def claim_reactions(using: str, *, limit: int, now: datetime, lease: timedelta) -> list[ClaimedReaction]:
    """Lease up to ``limit`` due reactions, oldest first, each with its event."""
    rows = _lease(using, Reaction, limit=limit, now=now, lease=lease).select_related("event")
    return [_claimed_reaction(row) for row in rows]


def _claimed_reaction(row: Reaction) -> ClaimedReaction:
    event, token = row.event, row.lease_token or 0
    return ClaimedReaction(
        pk=row.pk,
        token=token,
        starts=row.starts,
        subscriber=row.subscriber,
        tries=row.tries,
        since=row.since,
        event=Claimed(
            pk=event.pk,
            uid=event.uid,
            token=token,
            starts=row.starts,
            key=event.key,
            payload=event.payload,
            occurred_at=event.occurred_at,
        ),
    )


def _lease(using: str, model: _Due, *, limit: int, now: datetime, lease: timedelta) -> QuerySet[Any]:
    token = secrets.randbits(63)
    rows = model._base_manager.using(using)
    due = rows.filter(due_at__lte=now).order_by("due_at")
    with transaction.atomic(using=using):
        pks = claimed_together(_locked(due).values_list("pk", "starts")[:limit])
        if pks:
            # The guard repeats the condition: without row locks (SQLite) somebody else may have been faster.
            rows.filter(pk__in=pks, due_at__lte=now).update(
                stage=Stage.CLAIMED, lease_token=token, due_at=now + lease, starts=F("starts") + 1
            )
    return rows.filter(pk__in=pks, lease_token=token, stage=Stage.CLAIMED).order_by("pk")


def _locked(rows: QuerySet[Any]) -> QuerySet[Any]:
    skip = connections[rows.db].features.has_select_for_update_skip_locked
    return rows.select_for_update(skip_locked=True) if skip else rows


def is_deadly(claimed: Claimed | ClaimedReaction) -> bool:
    """It was started often enough without an end, this start not counted: it probably kills its sender."""
    return claimed.starts - 1 > MAX_STARTS


def finish(using: str, claims: Sequence[Claimed], stage: Stage = Stage.DONE) -> set[int]:
    """Settle events; return those whose lease still held. Call it in the transaction that writes what they led to."""
    return _finish(using, EventRecord, claims, stage=stage)


def finish_reactions(
    using: str, claims: Sequence[ClaimedReaction], stage: Stage, reason: Reason | None = None, detail: str = ""
) -> set[int]:
    """Settle reactions for good; return those whose lease still held."""
    return _finish(using, Reaction, claims, stage=stage, reason=reason or "", detail=detail[:300], tries=F("tries") + 1)


def retry_reaction(using: str, claimed: ClaimedReaction, *, due_at: datetime, reason: Reason, detail: str) -> bool:
    """Let a reaction be tried again later; False if the lease was lost."""
    mine = Reaction.objects.using(using).filter(pk=claimed.pk, lease_token=claimed.token, stage=Stage.CLAIMED)
    return bool(
        mine.update(
            stage=Stage.WAITING, due_at=due_at, reason=reason, detail=detail[:300], tries=F("tries") + 1, starts=0
        )
    )


def release_reaction(using: str, claimed: ClaimedReaction, *, due_at: datetime, reason: Reason) -> None:
    """Leave a reaction for a sender that knows its subscriber; the try does not count."""
    mine = Reaction.objects.using(using).filter(pk=claimed.pk, lease_token=claimed.token, stage=Stage.CLAIMED)
    mine.update(stage=Stage.WAITING, due_at=due_at, reason=reason, starts=F("starts") - 1)


def _finish(
    using: str, model: _Due, claims: Sequence[Claimed] | Sequence[ClaimedReaction], *, stage: Stage, **values: Any
) -> set[int]:
    finished: set[int] = set()
    for token in {claim.token for claim in claims}:
        pks = [claim.pk for claim in claims if claim.token == token]
        rows = model._base_manager.using(using).filter(pk__in=pks, lease_token=token)
        if rows.filter(stage=Stage.CLAIMED).update(stage=stage, due_at=None, starts=0, **values) == len(pks):
            finished.update(pks)
        else:
            finished.update(rows.filter(stage=stage).values_list("pk", flat=True))
    return finished


def release(using: str, claims: Iterable[Claimed], *, due_at: datetime) -> None:
    """Leave events for a sender that knows their key."""
    for claimed in claims:
        mine = EventRecord.objects.using(using).filter(pk=claimed.pk, lease_token=claimed.token, stage=Stage.CLAIMED)
        mine.update(stage=Stage.WAITING, due_at=due_at, starts=F("starts") - 1)


def add_reactions(using: str, news: Iterable[NewReaction], *, now: datetime) -> None:
    """Write reactions in bulk."""
    Reaction.objects.using(using).bulk_create(
        (
            Reaction(
                event_id=new.event,
                subscriber=new.subscriber,
                stage=new.stage,
                due_at=new.due_at,
                reason=new.reason or "",
                detail=new.detail[:300],
                tries=new.tries,
                since=now,
            )
            for new in news
        ),
        batch_size=1000,
    )


def cancel(using: str, uid: UUID) -> bool:
    """Cancel what has not been done about an event: expanding it, or what its subscribers still have to do.

    False if there is nothing left of that.
    """
    event = EventRecord.objects.using(using).filter(uid=uid, stage__in=_UNFINISHED)
    reactions = Reaction.objects.using(using).filter(event__uid=uid, stage__in=_UNFINISHED)
    cancelled = [rows.update(stage=Stage.CANCELLED, due_at=None) for rows in (event, reactions)]
    return any(cancelled)


def is_unfinished(using: str, uid: UUID, subscribers: Collection[str]) -> bool:
    """The event is still to be expanded, or one of these subscribers has something to do about it."""
    if EventRecord.objects.using(using).filter(uid=uid, stage__in=_UNFINISHED).exists():
        return True
    reactions = Reaction.objects.using(using).filter(event__uid=uid, subscriber__in=list(subscribers))
    return reactions.filter(stage__in=_UNFINISHED).exists()


_UNFINISHED = (Stage.WAITING, Stage.CLAIMED)


@contextmanager
def held(claims: Sequence[Claimed] | Sequence[ClaimedReaction], holding: set[int] | None) -> Iterator[None]:
    """Keep the tokens of these claims in ``holding`` while they are worked on."""
    tokens = {claim.token for claim in claims}
    if holding is not None:
        holding |= tokens
    try:
        yield
    finally:
        if holding is not None:
            holding -= tokens


def renew(using: str, tokens: Collection[int], *, now: datetime, lease: timedelta) -> None:
    """Heartbeat: extend the leases of events and reactions that a process still works on."""
    for model in (EventRecord, Reaction) if tokens else ():
        held = model._base_manager.using(using).filter(lease_token__in=list(tokens), stage=Stage.CLAIMED)
        with transaction.atomic(using=using):
            # What is locked is being finished this very moment: to wait for that would be a deadlock.
            free = list(_locked(held).values_list("pk", flat=True))
            held.filter(pk__in=free).update(due_at=now + lease)


def database() -> str:
    """The database of the project that holds the outbox, by its routers."""
    return router.db_for_write(EventRecord)
