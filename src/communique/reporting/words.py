"""From codes, states, reasons and times to plain words and sentences, in the operator's language."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..reasons import Reason
from ..states import Stage, State, Verdict

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class Tone(StrEnum):
    """How a fact is to be taken. Always goes with a word: a colour alone tells some people nothing."""

    GOOD = "good"
    OPEN = "open"
    BAD = "bad"
    QUIET = "quiet"


_TONES: Mapping[str, Tone] = {
    Verdict.REACHED: Tone.GOOD,
    Verdict.UNREACHABLE: Tone.BAD,
    Verdict.PENDING: Tone.OPEN,
    State.QUEUED: Tone.OPEN,
    State.CLAIMED: Tone.OPEN,
    State.SENDING: Tone.OPEN,
    State.UNKNOWN: Tone.OPEN,
    State.SENT: Tone.GOOD,
    State.FAILED: Tone.BAD,
    State.QUARANTINED: Tone.BAD,
    State.EXPIRED: Tone.BAD,
    Stage.WAITING: Tone.OPEN,
    Stage.DONE: Tone.GOOD,
}

_TONES_OF_ANSWERS: Mapping[str, Tone] = {
    "accepted": Tone.GOOD,
    "refused": Tone.BAD,
    "suspect": Tone.BAD,
    "defunct": Tone.BAD,
    "opted_out": Tone.BAD,
}

_ANSWERS: "Mapping[str, _StrPromise]" = {
    "": gettext_lazy("no answer has been written yet"),
    "accepted": gettext_lazy("the provider accepted it"),
    "retry": gettext_lazy("the provider answered with a temporary failure"),
    "throttled": gettext_lazy("the provider asked us to slow down"),
    "refused": gettext_lazy("the provider refused the message for good"),
    "suspect": gettext_lazy("the provider refused the message, and the address is suspicious"),
    "defunct": gettext_lazy("the provider says that the address is dead"),
    "opted_out": gettext_lazy("the recipient does not want to be contacted at this address"),
    "misconfigured": gettext_lazy("the provider refused our configuration"),
    "unknown": gettext_lazy("nobody knows whether the provider accepted it"),
}

_CONSEQUENCES: "Mapping[str, _StrPromise]" = {
    State.QUEUED: gettext_lazy("It was queued again."),
    State.FAILED: gettext_lazy("It was given up."),
    State.QUARANTINED: gettext_lazy("It was quarantined."),
    State.UNKNOWN: gettext_lazy("It is held."),
    State.SENT: gettext_lazy("It counts as sent."),
}


def tone(code: str) -> Tone:
    """The tone of a state, a verdict or a stage."""
    return _TONES.get(code, Tone.QUIET)


def tone_of_answer(outcome: str) -> Tone:
    return _TONES_OF_ANSWERS.get(outcome, Tone.OPEN)


def label(choices: type[TextChoices], code: str) -> str:
    """The word for a code; a code that only a later release knows is its own word."""
    return str(choices(code).label) if code in choices.values else code


def why(reason: str) -> str:
    """The sentence for a reason.

    >>> why("expired")
    'It expired before it could be sent.'
    """
    return label(Reason, reason)


def because(verdict: str, reason: str) -> str:
    """Why a communication has its verdict: "The provider says that the address is dead."."""
    if verdict == Verdict.PENDING:
        return _("There is no verdict yet.")
    return sentences(why(reason), _UNPROVEN if reason in (Reason.ACCEPTED, Reason.ACCEPTED_LATE) else "")


# What a provider accepted may still bounce: "sent" must never read like "delivered".
_UNPROVEN = gettext_lazy("Whether it was delivered is not known.")


def answer(outcome: str, code: str) -> str:
    """What a provider said, in words and with its code: "the provider refused the message for good (554)"."""
    said = str(_ANSWERS.get(outcome, outcome))
    return f"{said} ({code})" if code else said


def consequence(state: str) -> str:
    """What a step made of its delivery, where its reason does not say so."""
    return str(_CONSEQUENCES.get(state, ""))


def sentences(*said: "str | _StrPromise") -> str:
    return " ".join(str(one) for one in said if one)


def lasted(span: timedelta) -> str:
    """A duration in its two largest units.

    >>> lasted(timedelta(milliseconds=240)), lasted(timedelta(hours=26, minutes=5))
    ('0.2 s', '1 d 2 h')
    """
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 0.1:
        return _("%(count)d ms") % {"count": round(seconds * 1000)}
    if seconds < 10:
        return _("%(count)s s") % {"count": number_format(round(seconds, 1))}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two((minutes, _("%(count)d min")), (rest, _("%(count)d s")))
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _two((hours, _("%(count)d h")), (minutes, _("%(count)d min")))
    return _two((hours // 24, _("%(count)d d")), (hours % 24, _("%(count)d h")))


def _two(*parts: tuple[int, str]) -> str:
    return " ".join(unit % {"count": count} for count, unit in parts if count)


def stamp(at: datetime) -> str:
    """A day and a time ("2026-11-18 10:31"), in the order that nobody can misread."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"


def clock_time(at: datetime, now: datetime) -> str:
    """A time of today ("10:31"), or one with its day."""
    local = timezone.localtime(at)
    return f"{local:%H:%M}" if local.date() == timezone.localtime(now).date() else stamp(at)
