"""From an event or a direct message to one row in the caller's transaction, and nothing else."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connections, transaction
from django.utils import timezone

from . import clock, eventlog, events, messages, outbox, recipients
from .events import Event, MessageRequested
from .exceptions import where
from .messages import Message
from .uids import uuid7

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import Communication

logger = logging.getLogger("communique.publishing")


@dataclass(frozen=True, slots=True)
class Handle:
    """What ``publish()`` and ``send()`` return: a way to follow, wait for or cancel what was asked for.

    >>> handle = OrderReceipt(order=order).send(to=customer)    # doctest: +SKIP
    >>> [c.verdict for c in handle.wait(timeout=10)]            # doctest: +SKIP
    ['reached']
    """

    uid: UUID
    using: str

    def communications(self) -> "QuerySet[Communication]":
        """The communications that exist by now; none before a sender has found out the recipients."""
        return outbox.communications_of(self.using, self.uid)

    def cancel(self) -> bool:
        """Cancel what has not been handed to a provider; False if there was nothing left to cancel.

        Joins the caller's transaction.
        """
        with transaction.atomic(using=self.using):
            unexpanded = eventlog.cancel(self.using, self.uid)
            pks = list(self.communications().values_list("pk", flat=True))
            cancelled = outbox.cancel(self.using, pks, now=clock.now(self.using), actor="host") if pks else 0
        return unexpanded or bool(cancelled)

    def wait(self, timeout: float) -> "list[Communication]":
        """Block until every communication has a verdict, and return them.

        ``timeout`` is in seconds; raises ``TimeoutError`` after it, and ``RuntimeError`` inside an open transaction,
        where no sender could see the event yet.
        """
        if connections[self.using].in_atomic_block:
            raise RuntimeError("Handle.wait() inside a transaction waits for ever: call it after the commit")
        give_up = clock.monotonic() + timeout
        while self._is_waiting():
            if clock.monotonic() >= give_up:
                raise TimeoutError(f"no verdict for {self.uid} within {timeout} s: is a communique_worker running?")
            time.sleep(0.05)
        return list(self.communications())

    def _is_waiting(self) -> bool:
        unfinished = eventlog.is_unfinished(self.using, self.uid, messages.known())
        return unfinished or outbox.is_pending(self.using, self.uid)


# Set by AppConfig.ready to the engine's wake-up; a lost one costs a poll interval, never a message.
_wake: Callable[[str], None] | None = None


def install_wake(wake: Callable[[str], None]) -> None:
    global _wake
    _wake = wake


def publish(event: Event, *, dedupe: str | None = None, using: str | None = None) -> Handle:
    """Write an event; see ``communique.publish``."""
    using = using or eventlog.database()
    uid = uuid7()
    handle = _record(using, uid, event.key, event.dump(), dedupe=dedupe)
    inline = [one for one in events.subscriptions_to(type(event)) if one.inline]
    # An event that was published before has been heard before.
    if inline and handle.uid == uid:
        transaction.on_commit(partial(_run_inline, inline, event), using=using, robust=True)
    return handle


def send(
    message: Message,
    *,
    to: object = None,
    delay: timedelta | None = None,
    at: datetime | None = None,
    using: str | None = None,
) -> Handle:
    """Write a request for one message; see ``communique.Message.send``."""
    payload = MessageRequested(
        message=message.key,
        fields=message.dump(),
        to=None if to is None else [one.dump() for one in recipients.all_of(to)],
    )
    using = using or eventlog.database()
    return _record(using, uuid7(), MessageRequested.key, payload.dump(), due_at=_due(delay, at))


def _due(delay: timedelta | None, at: datetime | None) -> Any:
    if delay is not None and at is not None:
        raise TypeError("send() takes delay= or at=, not both")
    if delay is not None:
        return clock.in_insert(after=delay)
    if at is not None and timezone.is_naive(at):
        raise ValueError("send(at=...) needs a datetime with a time zone: naive ones mean another time elsewhere")
    return at


def _record(
    using: str, uid: UUID, key: str, payload: Mapping[str, Any], *, due_at: Any = None, dedupe: str | None = None
) -> Handle:
    if dedupe is not None and not 0 < len(dedupe) <= 200:
        raise ValueError("dedupe= is a key of 1 to 200 characters")
    # What is asked for later happens later: its expiry counts from then.
    at = due_at or clock.in_insert()
    recorded = eventlog.record(using, uid=uid, key=key, payload=payload, occurred_at=at, due_at=at, dedupe=dedupe)
    if _wake is not None:
        transaction.on_commit(partial(_wake, using), using=using, robust=True)
    return Handle(recorded, using)


def _run_inline(inline: list[events.Subscription], event: Event) -> None:
    for subscription in inline:
        try:
            subscription.function(event)
        except Exception as error:
            # The caller's work is committed: neither it nor the other handlers may suffer.
            logger.error("inline handler %s failed: %s", subscription.key, where(error))
