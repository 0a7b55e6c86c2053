"""The errors a host project may meet, and how an error is named without repeating its values."""

import sysconfig
import traceback
from types import TracebackType

__all__ = [
    "BackendNotFound",
    "CommuniqueError",
    "InvalidAddress",
    "InvalidPayload",
    "NotReady",
    "SubjectDeleted",
    "UnknownKey",
    "UnsavedInstance",
    "where",
]


class CommuniqueError(Exception):
    """Base of every error raised by communique."""


class NotReady(CommuniqueError, RuntimeError):
    """A verb was used before Django's app registry was ready, or without 'communique' in INSTALLED_APPS."""


class UnknownKey(CommuniqueError, LookupError):
    """No event, message or subscription is registered under this key in this process."""


class InvalidPayload(CommuniqueError, ValueError):
    """A stored payload cannot be read by the class that its key names; ``upgrade()`` is the place to mend it."""


class UnsavedInstance(CommuniqueError, ValueError):
    """A model instance in a payload has no row yet: save it before publishing."""


class SubjectDeleted(CommuniqueError, LookupError):
    """A row that a payload refers to has been deleted since."""


class InvalidAddress(CommuniqueError, ValueError):
    """A literal address is malformed; the message names the field, never the address."""


class BackendNotFound(CommuniqueError, LookupError):
    """No backend is configured for this channel."""


def where(error: BaseException) -> str:
    """Name an error by class and place, without its message: messages repeat addresses and payloads.

    >>> try:
    ...     int("ada@example.com")
    ... except ValueError as error:
    ...     where(error).split(" at ")[0]
    'ValueError'
    """
    frame = _innermost(error.__traceback__)
    return f"{type(error).__name__} at {frame}" if frame else type(error).__name__


def _innermost(tb: TracebackType | None) -> str:
    """The last place in anybody's own code: where a library noticed tells less than where it was called from."""
    frames = traceback.extract_tb(tb)
    own = [frame for frame in frames if not any(part in frame.filename for part in _LIBRARIES)]
    return next((f"{frame.filename}:{frame.lineno}" for frame in reversed(own or frames)), "")


_LIBRARIES = ("site-packages", "dist-packages", sysconfig.get_paths()["stdlib"])
