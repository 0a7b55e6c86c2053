"""The two shapes that every move has: a guarded update of deliveries, and what it means for their communications."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from ..models import Communication, Delivery, Step
from ..reasons import Reason
from ..states import VERDICT_OF, State, Verdict


class Leased(Protocol):
    """A delivery as somebody claimed it."""

    @property
    def pk(self) -> int: ...
    @property
    def token(self) -> int | None: ...
    @property
    def communication(self) -> int: ...


def move(
    using: str, rows: Iterable[Leased], before: State, after: State, *, ran_out: datetime | None = None, **values: Any
) -> set[int]:
    """Move the rows that are still in ``before`` under the lease they were claimed with; return their keys.

    Idempotent: a row that this very lease has moved already (its COMMIT was executed, the acknowledgement lost)
    is returned again. With ``ran_out`` only rows whose lease had run out by then are moved, and their token is
    replaced: should the lost sender come back, nothing is its own any more.
    """
    moved: set[int] = set()
    for token, pks in _by_token(rows).items():
        mine = Delivery.objects.using(using).filter(pk__in=pks, state=before, lease_token=token)
        token_after = token
        if ran_out is not None:
            mine, token_after = mine.filter(due_at__lte=ran_out), new_token()
        if mine.update(state=after, lease_token=token_after, **values) == len(pks):
            moved.update(pks)
        else:
            still = Delivery.objects.using(using).filter(pk__in=pks, lease_token=token_after, state=after)
            moved.update(still.values_list("pk", flat=True))
    return moved


def new_token() -> int:
    return secrets.randbits(63)


def _by_token(rows: Iterable[Leased]) -> Mapping[int | None, list[int]]:
    grouped: dict[int | None, list[int]] = defaultdict(list)
    for row in rows:
        grouped[row.token].append(row.pk)
    return grouped


def conclude(using: str, communications: Iterable[int], state: State, reason: Reason, now: datetime) -> None:
    """Give the communications whose delivery ended the verdict that follows from it."""
    if verdict := VERDICT_OF.get(state):
        open_to_it = Communication.objects.using(using).filter(pk__in=list(communications), verdict__in=_OPEN[verdict])
        open_to_it.update(verdict=verdict, reason=reason, concluded_at=now)


# A cancel that came while a provider was accepting was too late: the truth wins.
_OPEN = {verdict: [Verdict.PENDING] for verdict in Verdict}
_OPEN[Verdict.REACHED].append(Verdict.CANCELLED)


def record(using: str, steps: Iterable[Step]) -> None:
    Step.objects.using(using).bulk_create(steps, batch_size=500)


def step(
    row: Leased, before: State, after: State, reason: Reason, now: datetime, *, actor: str = "", detail: str = ""
) -> Step:
    return Step(
        communication_id=row.communication,
        delivery_id=row.pk,
        before=before,
        after=after,
        reason=reason,
        at=now,
        actor=actor,
        detail=detail[:300],
    )
