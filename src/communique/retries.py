"""From an outcome and a delivery's history to what happens next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from .outcomes import Accepted, Misconfigured, Outcome, Retry, Throttled, Unknown
from .reasons import Reason

# A provider that never answers is asked this often at most; then somebody has to look.
MAX_UNKNOWN = 5
# A `Retry-After` of a day is a provider's mistake more often than its wish.
LONGEST_WISH = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What has been tried: the try that just ended included."""

    tries: int
    unknowns: int
    since: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the message and the project allow."""

    delays: Sequence[float]
    horizon: timedelta
    on_unknown: Literal["resend", "hold"] = "resend"


@dataclass(frozen=True, slots=True)
class Sent:
    """A provider took it."""

    reason: Reason = Reason.ACCEPTED


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Due once more at ``at``."""

    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody will try again."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Hold:
    """It may have been accepted: leave it to a person."""

    reason: Reason = Reason.OUTCOME_UNKNOWN


Decision = Sent | TryAgain | GiveUp | Hold

_WAITING = {
    Retry: Reason.TEMPORARY,
    Throttled: Reason.THROTTLED,
    Misconfigured: Reason.MISCONFIGURED,
    Unknown: Reason.OUTCOME_UNKNOWN,
}


def decide(outcome: Outcome, history: History, policy: Policy, *, now: datetime, jitter: float) -> Decision:
    """Say what an outcome means for the delivery; ``jitter`` is a random number from 0 to 1.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> history = History(tries=1, unknowns=0, since=now)
    >>> policy = Policy(delays=[60], horizon=timedelta(hours=72))
    >>> decide(Retry("451"), history, policy, now=now, jitter=0.0).at - now
    datetime.timedelta(seconds=60)
    """
    match outcome:
        case Accepted():
            return Sent()
        case Unknown() if policy.on_unknown == "hold" or history.unknowns >= MAX_UNKNOWN:
            return Hold()
        case Retry(after=after) | Throttled(after=after) | Misconfigured(after=after):
            return again(_WAITING[type(outcome)], history, policy, now=now, jitter=jitter, wish=after)
        case Unknown():
            return again(Reason.OUTCOME_UNKNOWN, history, policy, now=now, jitter=jitter)
        case _:
            return GiveUp(Reason(outcome.kind))


def again(
    reason: Reason, history: History, policy: Policy, *, now: datetime, jitter: float, wish: timedelta | None = None
) -> TryAgain | GiveUp:
    """Try later by the growing schedule: until it expires, or for as long as the policy allows."""
    delay = backoff(history.tries, policy.delays, jitter)
    at = now + max(delay, min(wish or timedelta(), LONGEST_WISH))
    if history.expires_at is not None:
        # Due no later than its expiry: it ends then, and not at the end of a long delay.
        return TryAgain(min(at, history.expires_at), reason)
    if at > history.since + policy.horizon:
        return GiveUp(Reason.GAVE_UP)
    return TryAgain(at, reason)


def backoff(tries: int, delays: Sequence[float], jitter: float) -> timedelta:
    """The wait after the given number of tries; up to a tenth longer, so that a burst does not come back as one.

    >>> backoff(2, [60, 300], 0.0), backoff(9, [60, 300], 0.5)
    (datetime.timedelta(seconds=300), datetime.timedelta(seconds=315))
    """
    return timedelta(seconds=delays[min(tries, len(delays)) - 1] * (1 + jitter / 10))
