"""Run what is due and look at what was sent, without a worker and without a provider."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Self

from django.test import override_settings

from .. import clock, conf, wakeups
from ..backends import memory
from ..content import Outgoing
from ..exceptions import InvalidAddress
from ..messages import Message
from ..outcomes import Outcome
from ..recipients import Recipient, normalise_email


class Kit:
    """The ``communique`` fixture.

    >>> def test_receipt(communique, order):                                    # doctest: +SKIP
    ...     publish(OrderPlaced(order=order, total=order.total))
    ...     communique.run()
    ...     communique.assert_sent(OrderReceipt, to=order.customer, contains="A-1001")

    Every channel is answered by a backend that keeps what it is given and accepts it, unless told otherwise.
    """

    @classmethod
    @contextmanager
    def installed(cls) -> Iterator[Self]:
        """Put the memory backend behind every channel, and undo that and all travels afterwards."""
        kit = cls()
        memory.clear()
        in_memory = {"memory": {"BACKEND": "communique.backends.memory.MemoryBackend"}}
        channels = {name: {**entry, "BACKENDS": in_memory} for name, entry in conf.channels().items()}
        try:
            with wakeups.muted(), override_settings(COMMUNIQUE={**conf.given(), "CHANNELS": channels}):
                yield kit
        finally:
            clock.travel(-kit._travelled)
            memory.clear()

    def __init__(self) -> None:
        self._travelled = timedelta()

    def run(self) -> int:
        """Expand, handle and send everything that is due, until nothing is; return the turns of work it took."""
        # Deferred: pytest loads its plugins before Django's app registry can take models.
        from ..engines.immediate import run_due

        return run_due()

    @property
    def sent(self) -> list[Outgoing]:
        """What backends were given, accepted or not, in order."""
        return memory.sent

    def answer(self, channel: str, *outcomes: Outcome) -> None:
        """Let the next attempts on a channel end like this, one after the other; later ones are accepted.

        >>> communique.answer("email", Retry("451"), Refused("554"))            # doctest: +SKIP
        """
        memory.answer(channel, *outcomes)

    def travel(self, **by: float) -> None:
        """Let time pass: ``travel(hours=2)``. Takes what ``timedelta`` takes; undone after the test."""
        self._travelled += timedelta(**by)
        clock.travel(timedelta(**by))

    def assert_sent(
        self,
        message: type[Message] | None = None,
        *,
        to: Any = None,
        channel: str | None = None,
        contains: str | None = None,
        times: int | None = None,
    ) -> Outgoing:
        """Assert that something like this was given to a backend, and return the last of it.

        ``to`` is a user, a Recipient or an address; ``contains`` is looked for in every part of the content;
        ``times`` demands an exact number.
        """
        if times == 0:
            raise ValueError("assert_sent(times=0): say assert_not_sent()")
        found = self._like(message, to, channel, contains)
        if not found or (times is not None and len(found) != times):
            wanted = self._described(message, to, channel, contains)
            expected = "something" if times is None else f"exactly {times}"
            raise AssertionError(f"expected {expected} {wanted}, found {len(found)}; sent: {self._summary()}")
        return found[-1]

    def assert_not_sent(
        self,
        message: type[Message] | None = None,
        *,
        to: Any = None,
        channel: str | None = None,
        contains: str | None = None,
    ) -> None:
        """Assert that nothing like this was given to a backend."""
        if found := self._like(message, to, channel, contains):
            wanted = self._described(message, to, channel, contains)
            raise AssertionError(f"expected nothing {wanted}, found {len(found)}; sent: {self._summary()}")

    def _like(
        self, message: type[Message] | None, to: Any, channel: str | None, contains: str | None
    ) -> list[Outgoing]:
        addresses = None if to is None else _addresses(to)
        return [
            one
            for one in self.sent
            if (message is None or one.message == message.key)
            and (channel is None or one.channel == channel)
            and (addresses is None or one.address in addresses)
            and (contains is None or contains in _text(one))
        ]

    def _described(self, message: type[Message] | None, to: Any, channel: str | None, contains: str | None) -> str:
        parts = [
            "like",
            message.__qualname__ if message else "any message",
            f"by {channel}" if channel else "",
            f"to {' or '.join(sorted(_addresses(to))) or 'nobody'}" if to is not None else "",
            f"containing {contains!r}" if contains else "",
        ]
        return " ".join(filter(None, parts))

    def _summary(self) -> str:
        return ", ".join(f"{one.message} by {one.channel} to {one.address}" for one in self.sent) or "nothing"


def _addresses(to: Any) -> set[str]:
    recipient = Recipient.of(to)
    with suppress(InvalidAddress):
        # As planning writes it.
        return {normalise_email(recipient.email), recipient.phone} - {""}
    return {recipient.phone} - {""}


def _text(outgoing: Outgoing) -> str:
    content = outgoing.content
    return "\n".join((content.subject, content.text, content.html))
