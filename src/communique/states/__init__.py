"""The life of a delivery, the verdict on a communication, and every move that is legal between them."""

from collections.abc import Iterable
from itertools import takewhile

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class State(TextChoices):
    """Where a delivery stands. Each constant says who enters it and who leaves it."""

    # Entered when a leg starts, when a try failed temporarily, when a claim was lost or given back.
    # Left by a sender that claims it, by an operator or host that cancels, by a late acceptance.
    QUEUED = "queued", _("queued")
    # Entered by a claim: one sender holds the lease, nothing has been opened. Left by opening an attempt, by
    # giving it back, by the loss of the lease, by ending it (expired, subject deleted), by a cancel.
    CLAIMED = "claimed", _("claimed")
    # Entered when an attempt is opened, before the provider is called. Left only by what that attempt brought,
    # or by whoever finds its lease run out and calls the outcome unknown.
    SENDING = "sending", _("sending")
    # Entered when a provider accepted it. "Sent" is not "delivered".
    SENT = "sent", _("sent")
    # Entered when nobody will try again.
    FAILED = "failed", _("failed")
    # Entered when it may or may not have been accepted and the message would rather be lost than doubled, or has
    # been tried too often without an answer. Left by a late acceptance.
    UNKNOWN = "unknown", _("unknown")
    # Entered when three senders in a row died with nothing but it in hand: it probably kills them.
    QUARANTINED = "quarantined", _("quarantined")
    # Entered when its time ran out before it was sent.
    EXPIRED = "expired", _("expired")
    # Entered when a host or operator cancelled before an attempt was opened.
    CANCELLED = "cancelled", _("cancelled")


class Verdict(TextChoices):
    """What became of one message for one recipient."""

    PENDING = "pending", _("pending")
    REACHED = "reached", _("reached")
    UNREACHABLE = "unreachable", _("unreachable")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


class Stage(TextChoices):
    """Where an event or a reaction to it stands."""

    # Entered by publishing, and again when a try failed and is to be repeated. Left by a claim.
    WAITING = "waiting", _("waiting")
    # Entered by a claim; due again when the lease runs out. Left when the work is done.
    CLAIMED = "claimed", _("claimed")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    # Entered when three senders in a row died with nothing but it in hand.
    QUARANTINED = "quarantined", _("quarantined")
    CANCELLED = "cancelled", _("cancelled")


# A sender that dies this often on one row alone is not coincidence; the start before those was in company.
MAX_STARTS = 3


def claimed_together(due: Iterable[tuple[int, int]]) -> list[int]:
    """Which of these rows (key, starts) go into one batch: what a sender died with is claimed alone.

    Otherwise a row that kills its sender would take its innocent neighbours into quarantine.

    >>> claimed_together([(1, 0), (2, 0), (3, 1)]), claimed_together([(3, 1), (4, 0)])
    ([1, 2], [3])
    """
    due = list(due)
    return [key for key, _ in takewhile(lambda row: row[1] == 0, due)] or [key for key, _ in due[:1]]


# Every legal move of a delivery, under the name of the one function in `outbox` that makes it.
MOVES: dict[str, frozenset[tuple[State, State]]] = {
    "claim": frozenset({(State.QUEUED, State.CLAIMED)}),
    "put_back": frozenset({(State.CLAIMED, State.QUEUED)}),
    "requeue_lost": frozenset({(State.CLAIMED, State.QUEUED), (State.CLAIMED, State.QUARANTINED)}),
    "end": frozenset(
        {
            (State.CLAIMED, State.EXPIRED),
            (State.CLAIMED, State.FAILED),
            (State.CLAIMED, State.CANCELLED),
        }
    ),
    "open": frozenset({(State.CLAIMED, State.SENDING)}),
    "settle": frozenset(
        {
            (State.SENDING, State.SENT),
            (State.SENDING, State.QUEUED),
            (State.SENDING, State.FAILED),
            (State.SENDING, State.UNKNOWN),
        }
    ),
    "settle_late": frozenset(
        {
            (State.QUEUED, State.SENT),
            (State.CLAIMED, State.SENT),
            (State.UNKNOWN, State.SENT),
        }
    ),
    "cancel": frozenset({(State.QUEUED, State.CANCELLED), (State.CLAIMED, State.CANCELLED)}),
}

# What each ending of a communication's last delivery says about the communication.
VERDICT_OF: dict[State, Verdict] = {
    State.SENT: Verdict.REACHED,
    State.FAILED: Verdict.UNREACHABLE,
    State.QUARANTINED: Verdict.UNREACHABLE,
    State.EXPIRED: Verdict.EXPIRED,
    State.CANCELLED: Verdict.CANCELLED,
}
