"""From a due reaction to a handler that ran, or to a message that could be expanded after all."""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from . import clock, conf, eventlog, events, expanding, messages, outbox, payloads
from .eventlog import ClaimedReaction
from .events import Subscription
from .exceptions import InvalidPayload, SubjectDeleted, UnknownKey, where
from .expanding import Failed, Want
from .reasons import Reason
from .retries import GiveUp, History, Policy, TryAgain, again
from .states import Stage

logger = logging.getLogger("communique.reacting")

# A sender of the next release knows the handler; a deploy takes minutes.
_UNTIL_DEPLOYED = timedelta(seconds=30)


def react_to_next(using: str, holding: set[int] | None = None) -> bool:
    """Run the oldest due reaction; False if there is none.

    One claim each: a handler may take its time, and neither its neighbours nor a shutdown should wait for it under a
    lease. ``holding`` takes the lease token for a heartbeat in another thread to renew.
    """
    claims = eventlog.claim_reactions(using, limit=1, now=clock.now(using), lease=conf.lease())
    with eventlog.held(claims, holding):
        for claimed in claims:
            _react(using, claimed)
    return bool(claims)


def _react(using: str, claimed: ClaimedReaction) -> None:
    if eventlog.is_deadly(claimed):
        logger.error("reaction %s to %s quarantined", claimed.subscriber, claimed.event.uid)
        eventlog.finish_reactions(using, [claimed], Stage.QUARANTINED, Reason.KILLED_SENDERS)
        return
    failed = _run(using, claimed)
    if failed is None:
        return
    now = clock.now(using)
    if failed.reason is Reason.UNKNOWN_KEY:
        eventlog.release_reaction(using, claimed, due_at=now + _UNTIL_DEPLOYED, reason=failed.reason)
        return
    decision = _decide(claimed, failed, now)
    logger.error("%s failed for %s: %s %s", claimed.subscriber, claimed.event.uid, failed.reason, failed.detail)
    if isinstance(decision, GiveUp):
        eventlog.finish_reactions(using, [claimed], Stage.FAILED, failed.reason, failed.detail)
    else:
        eventlog.retry_reaction(using, claimed, due_at=decision.at, reason=failed.reason, detail=failed.detail)


def _decide(claimed: ClaimedReaction, failed: Failed, now: datetime) -> TryAgain | GiveUp:
    if failed.hopeless:
        return GiveUp(failed.reason)
    history = History(tries=claimed.tries + 1, unknowns=0, since=claimed.since)
    policy = Policy(delays=conf.retry_delays(), horizon=conf.HANDLER_HORIZON)
    return again(failed.reason, history, policy, now=now, jitter=0.0)


def _run(using: str, claimed: ClaimedReaction) -> Failed | None:
    """Do what the subscriber is there for; None if it is done."""
    try:
        subscription = events.subscription(claimed.subscriber)
    except UnknownKey:
        return _expand(using, claimed)
    return _handle(using, claimed, subscription)


def _handle(using: str, claimed: ClaimedReaction, subscription: Subscription) -> Failed | None:
    try:
        (event,) = payloads.load_many([(events.get(claimed.event.key), claimed.event.payload)], using=using)
        if isinstance(event, Exception):
            raise event
        subscription.function(event)
    except SubjectDeleted:
        return Failed(reason=Reason.SUBJECT_DELETED, hopeless=True)
    except InvalidPayload as error:
        return Failed(reason=Reason.INVALID_PAYLOAD, detail=str(error))
    except UnknownKey:
        return Failed(reason=Reason.UNKNOWN_KEY)
    except Exception as error:
        return Failed(reason=Reason.HANDLER_FAILED, detail=where(error))
    eventlog.finish_reactions(using, [claimed], Stage.DONE)
    return None


def _expand(using: str, claimed: ClaimedReaction) -> Failed | None:
    try:
        message = messages.get(claimed.subscriber)
    except UnknownKey:
        return Failed(reason=Reason.UNKNOWN_KEY)
    (found,) = expanding.expand(using, [Want(event=claimed.event, message=message)])
    if isinstance(found, Failed):
        return found
    with transaction.atomic(using=using):
        if eventlog.finish_reactions(using, [claimed], Stage.DONE):
            outbox.add(using, found, now=clock.now(using))
    expanding.alert_unplanned(found)
    return None
