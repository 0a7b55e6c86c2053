"""From where a delivery stands to what happens to it next, and when."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from ..reasons import Reason
from ..states import State, Verdict
from . import words

if TYPE_CHECKING:
    from ..models import Delivery

# Longer than an idle sender sleeps: what is due for longer than this is waiting for somebody who does not come.
_PATIENCE = timedelta(minutes=1)

# Given back before it was tried, which leaves no step: only the delivery itself says why.
_GIVEN_BACK = (Reason.UNKNOWN_KEY, Reason.SHUTDOWN)


def upcoming(delivery: "Delivery", verdict: str, now: datetime) -> str:
    """Say what happens to one delivery next; empty if nothing will."""
    match delivery.state:
        case State.QUEUED | State.CLAIMED if verdict == Verdict.CANCELLED:
            return _("It was cancelled: it ends without another try.")
        case State.QUEUED:
            why = words.why(delivery.reason) if delivery.reason in _GIVEN_BACK else ""
            return words.sentences(why, _queued(delivery, now))
        case State.CLAIMED:
            return _claimed(delivery, now)
        case State.SENDING:
            return _sending(delivery, now)
        case State.UNKNOWN:
            return _("It is held: nothing will be tried again, unless an answer still comes late.")
        case State.QUARANTINED:
            return _("It is quarantined: nothing will be tried again before somebody has found out what it does.")
    return ""


def _queued(delivery: "Delivery", now: datetime) -> str:
    due = delivery.due_at or now
    time = {"time": words.clock_time(due, now)}
    if due < now - _PATIENCE:
        return _("It has been due since %(time)s, and nobody has taken it: is a communique_worker running?") % time
    if due <= now:
        return _("It is due: the next sender that is free takes it.")
    if delivery.expires_at is not None and due >= delivery.expires_at:
        return _("It expires at %(time)s, before it would be tried again.") % time
    return (_("Next try at %(time)s.") if delivery.tries else _("First try at %(time)s.")) % time


def _claimed(delivery: "Delivery", now: datetime) -> str:
    if delivery.due_at is not None and delivery.due_at < now:
        return _("The sender that claimed it has gone silent: it will be queued again.")
    return _("A sender has claimed it and is about to try.")


def _sending(delivery: "Delivery", now: datetime) -> str:
    time = {"time": words.clock_time(delivery.due_at or now, now)}
    if delivery.due_at is not None and delivery.due_at < now:
        return _("The sender that tries it has been silent since %(time)s: the outcome will count as unknown.") % time
    return _("A sender is trying it at this moment.")
