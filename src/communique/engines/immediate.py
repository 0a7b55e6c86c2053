"""``ENGINE = "immediate"``: the publishing process sends by itself, after its commit. For development and scripts."""

import threading

from .. import eventlog
from ..expanding import expand_due
from ..reacting import react_to_next
from ..sending import Inline, Sender, recover_lost

_running = threading.local()


def wake(using: str) -> None:
    """Run what is due, unless that is what published."""
    if not getattr(_running, "now", False):
        run_due(using)


def run_due(using: str | None = None) -> int:
    """Expand, react and send until nothing is due, in this thread; return how many turns of work that took."""
    using = using or eventlog.database()
    sender = Sender(using=using, executor=Inline())
    turns = 0
    _running.now = True
    try:
        while _turn(using, sender):
            turns += 1
    finally:
        _running.now = False
        sender.executor.close()
    return turns


def _turn(using: str, sender: Sender) -> bool:
    # Every stage gets its turn: a later one may have work that an earlier one left.
    worked = [recover_lost(using), expand_due(using), react_to_next(using), sender.turn()]
    return any(worked)
