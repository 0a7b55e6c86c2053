"""The only writer of communications, deliveries, attempts, steps and contents.

Every move of the state machine is one function, named in ``states.MOVES``. It names the state that it moves from,
and the lease it needs, in its WHERE clause, and tells which rows it moved.
"""

from .adding import NewCommunication, NewDelivery, add
from .attempts import Closing, Opening, Result, open, settle
from .claims import Claim, claim, lost, put_back, renew, requeue_lost
from .endings import Ending, cancel, end
from .queries import communications_of, is_pending

__all__ = [
    "Claim",
    "Closing",
    "Ending",
    "NewCommunication",
    "NewDelivery",
    "Opening",
    "Result",
    "add",
    "cancel",
    "claim",
    "communications_of",
    "end",
    "is_pending",
    "lost",
    "open",
    "put_back",
    "renew",
    "requeue_lost",
    "settle",
]
