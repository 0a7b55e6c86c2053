"""One attempt: the call of a backend, with the one place where what it raises is caught."""

import logging
from dataclasses import dataclass

from .. import backends, clock
from ..content import Outgoing
from ..exceptions import where
from ..outbox import Result
from ..outcomes import Outcome, Unknown

logger = logging.getLogger("communique.sending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is to be given to which backend."""

    delivery: int
    backend: str
    outgoing: Outgoing


def attempt(call: Call) -> Result:
    """Give one message to its backend. Runs in a thread of the pool: no database."""
    started = clock.monotonic()
    outcome = _send(call)
    return Result(outcome=outcome, duration_ms=round((clock.monotonic() - started) * 1000))


def _send(call: Call) -> Outcome:
    try:
        outcome = backends.backend(call.outgoing.channel, call.backend).send(call.outgoing)
    # Also what stops a process stops with a row: whoever raises here may have sent already.
    except BaseException as error:
        logger.error("backend %s raised for %s: %s", call.backend, call.outgoing.key, where(error))
        return Unknown(detail=where(error))
    if not isinstance(outcome, Outcome):
        logger.error("backend %s returned a %s, not an outcome", call.backend, type(outcome).__name__)
        return Unknown(detail=f"the backend returned a {type(outcome).__name__}")
    return outcome
