"""A backend for tests and dry runs: keeps what it is given, and answers what it is told."""

from collections import defaultdict, deque

from ..content import Outgoing
from ..outcomes import Accepted, Outcome
from .base import Backend

sent: list[Outgoing] = []
_answers: dict[str, deque[Outcome]] = defaultdict(deque)


def answer(channel: str, *outcomes: Outcome) -> None:
    """Let the next sends on a channel end with these outcomes, in this order; after them all are accepted."""
    _answers[channel].extend(outcomes)


def clear() -> None:
    """Forget what was sent and what is to be answered."""
    sent.clear()
    _answers.clear()


class MemoryBackend(Backend):
    """Accepts everything, unless :func:`answer` said otherwise."""

    def send(self, outgoing: Outgoing) -> Outcome:
        sent.append(outgoing)
        answers = _answers[outgoing.channel]
        return answers.popleft() if answers else Accepted("250", reference=outgoing.key)
