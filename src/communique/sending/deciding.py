"""From what an attempt brought to what is written: the message's policy applied, and operators told."""

import random
from datetime import datetime

from .. import alerting, conf, messages
from ..outbox import Claim, Closing, Result
from ..outcomes import Unknown
from ..reasons import Reason
from ..retries import GiveUp, History, Hold, Policy, TryAgain, again, decide


def closing(claim: Claim, attempt: int, result: Result, now: datetime) -> Closing:
    """Decide what a result means for its delivery."""
    history = _history(claim, unknowns=isinstance(result.outcome, Unknown))
    decision = decide(result.outcome, history, _policy(claim), now=now, jitter=random.random())
    return Closing(claim=claim, attempt=attempt, result=result, decision=decision)


def postponed(claim: Claim, reason: Reason, now: datetime) -> TryAgain | GiveUp:
    """When to try what never got as far as an attempt."""
    return again(reason, _history(claim), _policy(claim), now=now, jitter=random.random())


def _history(claim: Claim, unknowns: int = 0) -> History:
    return History(
        tries=claim.tries + 1,
        unknowns=claim.unknowns + unknowns,
        since=claim.created_at,
        expires_at=claim.expires_at,
    )


def _policy(claim: Claim) -> Policy:
    return Policy(
        delays=conf.retry_delays(),
        horizon=conf.horizon(claim.channel),
        on_unknown=messages.get(claim.message).on_unknown,
    )


def tell(closing: Closing) -> None:
    """Alert operators when a decision leaves a mandatory message without a reader."""
    if isinstance(closing.decision, GiveUp | Hold):
        alerting.unreached(closing.claim.message, closing.decision.reason, closing.claim.uid)
