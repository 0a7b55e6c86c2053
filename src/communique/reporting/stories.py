"""From the rows of one communication to its story: a timeline in plain words, what comes next, and a verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from .. import clock, recipients
from ..events import MessageRequested
from ..outbox.stories import Rows, rows_of
from ..states import State, Verdict
from . import words
from .upcoming import upcoming
from .words import Tone

if TYPE_CHECKING:
    from ..models import Attempt, Communication, Content, Delivery, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One entry of the timeline: something that has happened."""

    kind: str
    at: datetime
    said: str
    tone: Tone = Tone.QUIET
    # Which delivery it is about ("email to ada@example.com"), who did it, and what a provider or an error said.
    about: str = ""
    actor: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What happens to one delivery next; ``at`` is None if that is at no known time, or never."""

    said: str
    at: datetime | None = None
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One delivery: where it goes, where it stands, and the last reason."""

    channel: str
    address: str
    state: str
    tone: Tone
    reason: str
    tries: int
    expires_at: datetime | None
    uid: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What was put on the wire for one channel: that it exists, not what it says; ``size`` in bytes."""

    channel: str
    size: int
    digest: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that an operator may ask about one communication."""

    uid: UUID
    message: str
    recipient: str
    recipient_key: str
    event: str
    verdict: str
    verdict_word: str
    tone: Tone
    reason: str
    occurred_at: datetime
    created_at: datetime
    concluded_at: datetime | None
    took: str
    moments: tuple[Moment, ...]
    upcoming: tuple[Next, ...]
    deliveries: tuple[Line, ...]
    bodies: tuple[Body, ...]

    def __str__(self) -> str:
        return "\n".join([*(one.said for one in self.moments), *(one.said for one in self.upcoming)])


def story(communication: "Communication") -> Story:
    """Tell what became of one communication, in the language that is active.

    >>> print(story(communication))                                             # doctest: +SKIP
    The event "shop.order_placed" was published.
    Planned for Ada Lovelace: by email.
    The content for email was rendered and frozen (2.1 KB).
    Try 1 by "default": the provider answered with a temporary failure (451 4.7.1), 0.2 s.
    Next try at 10:31.
    """
    rows = rows_of(communication)
    using = communication._state.db or "default"
    return _story(rows, recipient=_recipient(communication, using), now=clock.now(using))


def _recipient(communication: "Communication", using: str) -> str:
    (who,) = recipients.load_many([communication.recipient], using=using)
    if isinstance(who, Exception):
        return _("somebody who has been deleted (%(key)s)") % {"key": communication.recipient_key}
    return who.name or who.email or who.phone or communication.recipient_key


def _story(rows: Rows, *, recipient: str, now: datetime) -> Story:
    told = rows.communication
    return Story(
        uid=told.uid,
        message=told.message,
        recipient=recipient,
        recipient_key=told.recipient_key,
        event=rows.event.key,
        verdict=told.verdict,
        verdict_word=words.label(Verdict, told.verdict),
        tone=words.tone(told.verdict),
        reason=words.because(told.verdict, told.reason),
        occurred_at=rows.event.occurred_at,
        created_at=told.created_at,
        concluded_at=told.concluded_at,
        took=words.lasted(told.concluded_at - rows.event.occurred_at) if told.concluded_at else "",
        # Stable: what happened in the same instant stays in the order of cause and effect.
        moments=tuple(sorted(_moments(rows, recipient), key=attrgetter("at"))),
        upcoming=tuple(_upcoming(rows, now)),
        deliveries=tuple(map(_line, rows.deliveries)),
        bodies=tuple(map(_body, rows.contents)),
    )


def _moments(rows: Rows, recipient: str) -> Iterator[Moment]:
    """Everything that has happened, cause before effect."""
    about = {delivery.pk: _about(delivery) for delivery in rows.deliveries}
    yield _published(rows)
    yield from _planned(rows.communication, recipient)
    yield from map(_frozen, rows.contents)
    yield from (_tried(attempt, about[attempt.delivery_id]) for attempt in rows.attempts)
    yield from (_stepped(step, about.get(step.delivery_id or 0, "")) for step in rows.steps)
    yield from _concluded(rows.communication)


def _about(delivery: "Delivery") -> str:
    return _("%(channel)s to %(address)s") % {"channel": delivery.channel, "address": delivery.address}


def _published(rows: Rows) -> Moment:
    if rows.event.key == MessageRequested.key:
        said = _("The message was asked for by send().")
    else:
        said = _('The event "%(key)s" was published.') % {"key": rows.event.key}
    return Moment(kind="event", at=rows.event.occurred_at, said=said)


def _planned(communication: "Communication", recipient: str) -> Iterator[Moment]:
    plan, at = communication.plan, communication.created_at
    channels = ", ".join(leg["channel"] for leg in plan.get("legs", ()))
    way = _("by %(channels)s") % {"channels": channels} if channels else _("there is no way to reach them")
    said = _("Planned for %(recipient)s: %(way)s.") % {"recipient": recipient, "way": way}
    yield Moment(kind="plan", at=at, said=said)
    for skip in plan.get("skipped", ()):
        why = {"channel": skip["channel"], "reason": words.why(skip["reason"])}
        yield Moment(kind="skip", at=at, said=_("Not by %(channel)s: %(reason)s") % why, tone=Tone.BAD)


def _frozen(content: "Content") -> Moment:
    what = {"channel": content.channel, "size": filesizeformat(content.size)}
    said = _("The content for %(channel)s was rendered and frozen (%(size)s).") % what
    return Moment(kind="content", at=content.created_at, said=said)


def _tried(attempt: "Attempt", about: str) -> Moment:
    answer = words.answer(attempt.outcome, attempt.code)
    if attempt.duration_ms is not None:
        answer += f", {words.lasted(timedelta(milliseconds=attempt.duration_ms))}"
    said = _('Try %(number)d by "%(backend)s": %(answer)s.') % {
        "number": attempt.number,
        "backend": attempt.backend,
        "answer": answer,
    }
    return Moment(
        kind="attempt",
        at=attempt.opened_at,
        said=words.sentences(said, _("The answer came late: by then its outcome counted as unknown.") * attempt.late),
        tone=words.tone_of_answer(attempt.outcome),
        about=about,
        actor=attempt.worker,
        detail=attempt.detail,
    )


def _stepped(step: "Step", about: str) -> Moment:
    return Moment(
        kind="step",
        at=step.at,
        said=words.sentences(words.why(step.reason), words.consequence(step.after)),
        tone=words.tone(step.after),
        about=about,
        actor=step.actor,
        detail=step.detail,
    )


def _concluded(communication: "Communication") -> Iterator[Moment]:
    if communication.concluded_at is not None:
        code, reason = communication.verdict, communication.reason
        said = _("Verdict: %(verdict)s.") % {"verdict": words.label(Verdict, code)}
        # "Cancelled. It was cancelled." says nothing twice.
        because = "" if reason == code else words.because(code, reason)
        yield Moment(
            kind="verdict", at=communication.concluded_at, said=words.sentences(said, because), tone=words.tone(code)
        )


def _upcoming(rows: Rows, now: datetime) -> list[Next]:
    verdict = rows.communication.verdict
    said = [(delivery, upcoming(delivery, verdict, now)) for delivery in rows.deliveries]
    following = [Next(said=text, at=one.due_at, about=_about(one)) for one, text in said if text]
    return following or [Next(said=_("Nothing will be tried again."))]


def _line(delivery: "Delivery") -> Line:
    return Line(
        channel=delivery.channel,
        address=delivery.address,
        state=words.label(State, delivery.state),
        tone=words.tone(delivery.state),
        reason=words.why(delivery.reason),
        tries=delivery.tries,
        expires_at=delivery.expires_at,
        uid=delivery.uid,
    )


def _body(content: "Content") -> Body:
    return Body(channel=content.channel, size=content.size, digest=content.digest, created_at=content.created_at)
