"""What runs the outbox, and how a publisher wakes it."""

from collections.abc import Callable
from importlib import import_module

from .. import conf
from ..exceptions import CommuniqueError

ENGINES = ("worker", "immediate")


def wake(using: str) -> None:
    """After a commit: let the configured engine know that something is due."""
    _wake_of(conf.get("ENGINE"))(using)


def _wake_of(name: str) -> Callable[[str], None]:
    if name not in ENGINES:
        raise CommuniqueError(f"COMMUNIQUE['ENGINE'] is {name!r}; it can be one of {', '.join(ENGINES)}")
    found: Callable[[str], None] = import_module(f"{__name__}.{name}").wake
    return found
