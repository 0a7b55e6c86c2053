"""One process's share of sending: a batch under lease, and at most as many open attempts as its executor has threads.

:meth:`Sender.turn` is the table of contents. All of this runs in one thread, the only one that talks to the database
about deliveries; just the calls of backends run in the executor.
"""

import os
import random
import socket
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from .. import alerting, backends, clock, conf, content, outbox
from ..content import Content, Outgoing
from ..outbox import Claim, Ending, Opening, Result
from ..planning import PRIORITIES
from ..reasons import Reason
from ..retries import GiveUp
from ..states import State
from .attempting import Call
from .deciding import closing, postponed, tell
from .executors import Executor
from .preparing import Ready, Setback, prepare, render

BATCH = 100
_BY_URGENCY = sorted(PRIORITIES.values())
# One batch in ten is claimed from the low end, so that a steady flow of urgent mail starves nobody.
_LOW_FIRST = 0.1
# Seconds that a result may wait for others to be written with, and the age up to which a call is expected to end soon.
_COMPANY, _QUICK = 0.01, 0.05
# A sender of the next release knows the message; a deploy takes minutes.
_UNTIL_DEPLOYED = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """An attempt whose backend is being called."""

    claim: Claim
    attempt: int
    began: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """A delivery on the point of being opened."""

    ready: Ready
    content: Content
    backend: str

    @property
    def claim(self) -> Claim:
        return self.ready.claim


class Sender:
    """Claims, prepares, opens, attempts, decides and settles, turn by turn."""

    def __init__(self, *, using: str, executor: Executor, channels: Collection[str] | None = None) -> None:
        self.using = using
        self.executor = executor
        self.channels = channels
        self.worker = f"{socket.gethostname()}:{os.getpid()}"[:100]
        self._ready: deque[Ready] = deque()
        self._rendered: deque[_Rendered | Setback] = deque()
        self._opening: list[_Rendered] = []
        self._open: dict[int, _Open] = {}
        self._finished: dict[int, Result] = {}

    def turn(self) -> bool:
        """Close what has finished and open what is next, in one transaction; False if there was nothing to do."""
        self._finished |= self.executor.finished(timeout=0)
        claimed = self._refill()
        self._render_ahead()
        self._gather()
        if not (self._finished or (self._rendered and self._free)):
            # What was claimed may all have been set back: more may be due behind it.
            return claimed
        now = clock.now(self.using)
        self._opening = self._take(now)
        try:
            opened = self._close_and_open(self._opening, now)
            self._call(self._opening, opened)
        finally:
            # After an error too: what the heartbeat went on renewing could be taken over by nobody.
            self._opening = []
        return True

    def close_finished(self) -> None:
        """Write what has finished, and open nothing more."""
        self._finished |= self.executor.finished(timeout=0)
        if self._finished:
            self._close_and_open([], clock.now(self.using))

    def wait(self, seconds: float) -> bool:
        """Sleep until something finishes, a wake-up comes, or the time is over; True if something has finished."""
        self._finished |= self.executor.finished(timeout=seconds)
        return bool(self._finished)

    @property
    def busy(self) -> bool:
        """Attempts are open: their results are still to be written."""
        return bool(self._open)

    def held(self) -> dict[int, list[int]]:
        """The leases to be renewed: delivery keys by token. The heartbeat asks from a thread of its own."""
        held: dict[int, list[int]] = {}
        for part in (self._ready, self._rendered, self._opening, self._open.values()):
            for one in tuple(part):
                held.setdefault(one.claim.token or 0, []).append(one.claim.pk)
        return held

    def give_back(self) -> None:
        """Before a shutdown: what has been claimed and not opened is anybody's again."""
        claims = [one.claim for one in (*self._rendered, *self._ready)]
        self._rendered.clear()
        self._ready.clear()
        if claims:
            now = clock.now(self.using)
            outbox.put_back(self.using, claims, due_at=now, reason=Reason.SHUTDOWN, now=now)

    def _refill(self) -> bool:
        if self._ready or not self._free:
            return False
        now = clock.now(self.using)
        urgency = _BY_URGENCY if random.random() >= _LOW_FIRST else _BY_URGENCY[::-1]
        claims = outbox.claim(
            self.using, limit=BATCH, now=now, lease=conf.lease(), priorities=urgency, channels=self.channels
        )
        prepared = prepare(self.using, claims) if claims else []
        self._ready.extend(one for one in prepared if isinstance(one, Ready))
        self._set_back([one for one in prepared if isinstance(one, Setback)], now)
        return bool(claims)

    @property
    def _free(self) -> int:
        """Threads that have nothing to send."""
        return self.executor.threads - len(self._open) + len(self._finished)

    def _render_ahead(self) -> None:
        """Render as many as there are threads while they send, so that one transaction closes theirs and opens these.

        A whole batch at once would leave them idle meanwhile.
        """
        while self._ready and len(self._rendered) < self.executor.threads:
            self._rendered.append(_rendered(self._ready[0]))
            self._ready.popleft()

    def _gather(self) -> None:
        """Give the calls that began with those that have finished a moment to finish too: one transaction is for all.

        Only quick calls are waited for; one that hangs, or a provider that takes its time, holds up nobody.
        """
        give_up = clock.monotonic() + _COMPANY
        self._finished |= self.executor.finished(timeout=0)
        while self._finished and (left := give_up - clock.monotonic()) > 0 and self._expects_more():
            self._finished |= self.executor.finished(timeout=left)

    def _expects_more(self) -> bool:
        lately = clock.monotonic() - _QUICK
        return any(one.began > lately for pk, one in tuple(self._open.items()) if pk not in self._finished)

    def _take(self, now: datetime) -> list[_Rendered]:
        """What is to be opened now: for each free thread one that has not expired."""
        taken: list[_Rendered] = []
        setbacks: list[Setback] = []
        while self._rendered and len(taken) < self._free:
            one = self._rendered.popleft()
            if isinstance(one, Setback):
                setbacks.append(one)
            elif _has_expired(one.claim, now):
                setbacks.append(Setback(claim=one.claim, after=State.EXPIRED, reason=Reason.EXPIRED))
            else:
                taken.append(one)
        self._set_back(setbacks, now)
        return taken

    def _close_and_open(self, rendered: Sequence[_Rendered], now: datetime) -> dict[int, int]:
        """Write results and openings. If it fails the results are kept for the next turn; the openings are left to
        their leases, because nobody can tell whether they were committed."""
        closings = [
            closing(self._open[pk].claim, self._open[pk].attempt, result, now) for pk, result in self._finished.items()
        ]
        openings = [_opening(one) for one in rendered]
        with transaction.atomic(using=self.using):
            settled = outbox.settle(self.using, closings, now=now)
            opened = outbox.open(self.using, openings, worker=self.worker, now=now, lease=conf.lease())
        for one in closings:
            del self._open[one.pk], self._finished[one.pk]
            if one.pk in settled:
                tell(one)
        return opened

    def _call(self, rendered: Iterable[_Rendered], opened: dict[int, int]) -> None:
        for one in rendered:
            claim = one.claim
            if attempt := opened.get(claim.pk):
                self._open[claim.pk] = _Open(claim=claim, attempt=attempt, began=clock.monotonic())
                self.executor.submit(Call(delivery=claim.pk, backend=one.backend, outgoing=_outgoing(one)))

    def _set_back(self, setbacks: Sequence[Setback], now: datetime) -> None:
        endings: list[Ending] = []
        for one in setbacks:
            if one.after is not None:
                endings.append(Ending(claim=one.claim, after=one.after, reason=one.reason, detail=one.detail))
            elif not one.tried:
                outbox.put_back(self.using, [one.claim], due_at=now + _UNTIL_DEPLOYED, reason=one.reason, now=now)
            elif isinstance(later := postponed(one.claim, one.reason, now), GiveUp):
                endings.append(Ending(claim=one.claim, after=State.FAILED, reason=one.reason, detail=one.detail))
            else:
                outbox.put_back(
                    self.using,
                    [one.claim],
                    due_at=later.at,
                    reason=one.reason,
                    now=now,
                    tried=True,
                    actor=self.worker,
                    detail=one.detail,
                )
        ended = outbox.end(self.using, endings, now=now, actor=self.worker) if endings else set()
        for ending in endings:
            if ending.claim.pk in ended and ending.after is not State.CANCELLED:
                alerting.unreached(ending.claim.message, ending.reason, ending.claim.uid)


def _has_expired(claim: Claim, now: datetime) -> bool:
    return claim.expires_at is not None and claim.expires_at <= now


def _rendered(ready: Ready) -> _Rendered | Setback:
    names = backends.names(ready.claim.channel)
    if not names:
        return Setback(claim=ready.claim, reason=Reason.MISCONFIGURED, tried=True, detail="the channel has no backend")
    body = render(ready)
    return body if isinstance(body, Setback) else _Rendered(ready=ready, content=body, backend=names[0])


def _opening(one: _Rendered) -> Opening:
    fresh = one.claim.content is None
    return Opening(claim=one.claim, backend=one.backend, frozen=content.freeze(one.content) if fresh else None)


def _outgoing(one: _Rendered) -> Outgoing:
    claim = one.claim
    return Outgoing(
        key=str(claim.uid),
        channel=claim.channel,
        address=claim.address,
        name=one.ready.recipient.name,
        content=one.content,
        message=claim.message,
        expires_at=claim.expires_at,
    )
