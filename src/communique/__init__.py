"""Transactional communications for Django."""

from typing import TYPE_CHECKING, Any

from .events import Event, apublish, from_signal, publish, subscribe
from .exceptions import CommuniqueError, InvalidAddress, NotReady, UnsavedInstance
from .messages import Message
from .outcomes import (
    Accepted,
    Defunct,
    Misconfigured,
    OptedOut,
    Outcome,
    Refused,
    Retry,
    Suspect,
    Throttled,
    Unknown,
)
from .recipients import Recipient

if TYPE_CHECKING:
    from .publishing import Handle

__all__ = [
    "Accepted",
    "CommuniqueError",
    "Defunct",
    "Event",
    "Handle",
    "InvalidAddress",
    "Message",
    "Misconfigured",
    "NotReady",
    "OptedOut",
    "Outcome",
    "Recipient",
    "Refused",
    "Retry",
    "Suspect",
    "Throttled",
    "Unknown",
    "UnsavedInstance",
    "apublish",
    "from_signal",
    "publish",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    # A handle asks the outbox, whose models cannot be imported before the app registry is ready.
    if name == "Handle":
        from .publishing import Handle

        return Handle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
