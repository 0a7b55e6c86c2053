"""From a due event to its communications and their first deliveries: messages, recipients, plan."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from . import alerting, clock, conf, eventlog, events, loading, messages, outbox, recipients
from .eventlog import Claimed, NewReaction
from .events import MessageRequested
from .exceptions import InvalidAddress, InvalidPayload, SubjectDeleted, where
from .loading import Source
from .messages import Message
from .outbox import NewCommunication, NewDelivery
from .planning import PRIORITIES, plan
from .reasons import Reason
from .recipients import Recipient
from .retries import backoff
from .states import Stage

logger = logging.getLogger("communique.expanding")

BATCH = 100
# A sender of the next release knows the key; a deploy takes minutes.
_LATER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One message that is to be expanded for one event."""

    event: Claimed
    message: type[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why a message could not be expanded; ``hopeless`` if no later try can succeed."""

    reason: Reason
    detail: str = ""
    hopeless: bool = False


def expand_due(using: str, holding: set[int] | None = None) -> int:
    """Expand one batch of due events; return how many were claimed.

    ``holding`` takes the lease tokens for a heartbeat in another thread to renew.
    """
    now = clock.now(using)
    claims = eventlog.claim(using, limit=BATCH, now=now, lease=conf.lease())
    with eventlog.held(claims, holding):
        alive = _without_deadly(using, claims)
        known = _without_unknown(using, alive, now)
        if known:
            _expand(using, known, now)
    return len(claims)


def _without_deadly(using: str, claims: Sequence[Claimed]) -> list[Claimed]:
    deadly = [claimed for claimed in claims if eventlog.is_deadly(claimed)]
    if deadly:
        eventlog.finish(using, deadly, Stage.QUARANTINED)
        for claimed in deadly:
            logger.error("event %s (%s) quarantined: three senders died expanding it", claimed.uid, claimed.key)
    return [claimed for claimed in claims if claimed not in deadly]


def _without_unknown(using: str, claims: Sequence[Claimed], now: datetime) -> list[Claimed]:
    unknown = [claimed for claimed in claims if not loading.is_known(claimed.key, claimed.payload)]
    if unknown:
        eventlog.release(using, unknown, due_at=now + _LATER)
        logger.warning("events wait for a sender that knows %s", sorted({claimed.key for claimed in unknown}))
    return [claimed for claimed in claims if claimed not in unknown]


def _expand(using: str, claims: Sequence[Claimed], now: datetime) -> None:
    wants = [Want(event=claimed, message=message) for claimed in claims for message in _messages(claimed)]
    found = expand(using, wants)
    with transaction.atomic(using=using):
        mine = eventlog.finish(using, claims)
        news = [new for one in found if not isinstance(one, Failed) for new in one if new.event in mine]
        outbox.add(using, news, now=now)
        failures = ((want, one) for want, one in zip(wants, found, strict=True) if isinstance(one, Failed))
        reactions = [_reaction(want, failed, now) for want, failed in failures if want.event.pk in mine]
        handlers = [_handler(claimed, key, now) for claimed in claims if claimed.pk in mine for key in _keys(claimed)]
        if reactions or handlers:
            eventlog.add_reactions(using, reactions + handlers, now=now)
    alert_unplanned(news)


def alert_unplanned(news: Iterable[NewCommunication]) -> None:
    """Tell operators of mandatory communications that have no way to their recipient from the start."""
    for new in news:
        if new.reason is not None:
            alerting.unreached(new.message, new.reason)


def _messages(claimed: Claimed) -> Sequence[type[Message]]:
    if claimed.key == MessageRequested.key:
        return [messages.get(claimed.payload["message"])]
    return messages.messages_on(events.get(claimed.key))


def _keys(claimed: Claimed) -> list[str]:
    return [one.key for one in events.subscriptions_to(events.get(claimed.key)) if not one.inline]


def _handler(claimed: Claimed, key: str, now: datetime) -> NewReaction:
    return NewReaction(event=claimed.pk, subscriber=key, due_at=now)


def _reaction(want: Want, failed: Failed, now: datetime) -> NewReaction:
    logger.error("%s not expanded for %s: %s %s", want.message.key, want.event.uid, failed.reason, failed.detail)
    again = None if failed.hopeless else now + backoff(1, conf.retry_delays(), 0.0)
    return NewReaction(
        event=want.event.pk,
        subscriber=want.message.key,
        due_at=again,
        stage=Stage.FAILED if failed.hopeless else Stage.WAITING,
        reason=failed.reason,
        detail=failed.detail,
        tries=1,
    )


def expand(using: str, wants: Sequence[Want]) -> list[list[NewCommunication] | Failed]:
    """Find the recipients of each wanted message and plan for them; everything is loaded in bulk.

    One want that fails says so in its place and spoils no other.
    """
    sources = [Source(event_key=want.event.key, payload=want.event.payload, message=want.message) for want in wants]
    loaded = loading.load(sources, using=using)
    return [_communications(using, want, message) for want, message in zip(wants, loaded, strict=True)]


def _communications(using: str, want: Want, message: Message | Exception) -> list[NewCommunication] | Failed:
    try:
        if isinstance(message, Exception):
            raise message
        return [_plan(want, message, recipient) for recipient in _recipients(using, want, message)]
    except SubjectDeleted:
        return Failed(reason=Reason.SUBJECT_DELETED, hopeless=True)
    except InvalidPayload as error:
        # Not hopeless: the next release may read it again.
        return Failed(reason=Reason.INVALID_PAYLOAD, detail=str(error))
    except Exception as error:
        return Failed(reason=Reason.EXPANSION_FAILED, detail=where(error))


def _recipients(using: str, want: Want, message: Message) -> list[Recipient]:
    dumps = want.event.payload.get("to") if want.event.key == MessageRequested.key else None
    if dumps is None:
        return recipients.all_of(message.recipients())
    loaded = recipients.load_many(dumps, using=using)
    for one in loaded:
        if isinstance(one, Exception):
            raise one
    return [one for one in loaded if isinstance(one, Recipient)]


def _plan(want: Want, message: Message, recipient: Recipient) -> NewCommunication:
    planned = plan(message.route, {message.route: _address(recipient, message.route)})
    expires_at = None if message.expires is None else want.event.occurred_at + message.expires
    return NewCommunication(
        event=want.event.pk,
        message=message.key,
        recipient_key=recipient.key,
        recipient=recipient.dump(),
        plan=planned.dump(),
        deliveries=[
            NewDelivery(
                channel=leg.channel,
                address=leg.address,
                priority=PRIORITIES[message.priority],
                expires_at=expires_at,
            )
            for leg in planned.legs
        ],
        reason=None if planned.legs else planned.skipped[-1].reason,
    )


def _address(recipient: Recipient, channel: str) -> str | Reason:
    address = recipient.address(channel)
    if channel != "email" or not address:
        return address or Reason.NO_ADDRESS
    try:
        return recipients.normalise_email(address)
    except InvalidAddress:
        return Reason.MALFORMED_ADDRESS
