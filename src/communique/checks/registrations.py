"""Keys: every class and subscription has one, and no two have the same."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.core.checks import CheckMessage, Error

from .. import events, messages
from ..events import Subscription


def check_registrations(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return [*_duplicates(), *_keyless(), *_shared()]


def _duplicates() -> Iterator[CheckMessage]:
    registered = (events.duplicates(), messages.duplicates(), events.duplicate_subscriptions())
    for key, claimants in chain.from_iterable(each.items() for each in registered):
        yield Error(
            f"The key {key!r} is used by {' and by '.join(map(_name, claimants))}.",
            hint="Give all but one another key. Keys are stored: let the one that is in production keep it.",
            obj=key,
            id="communique.E001",
        )


def _keyless() -> Iterator[CheckMessage]:
    for cls in (*events.keyless(), *messages.keyless()):
        yield Error(
            f"{_name(cls)} has no key.",
            hint='Write `key = "app.name"` in its body, or `abstract = True` if it only passes fields on.',
            obj=cls,
            id="communique.E002",
        )


def _shared() -> Iterator[CheckMessage]:
    for key in sorted(messages.known().keys() & events.known_subscriptions().keys()):
        yield Error(
            f"The key {key!r} is used by a message and by a handler.",
            hint="Give the handler another key: both are subscribers, and what they did is stored by it.",
            obj=key,
            id="communique.E003",
        )


def _name(thing: Any) -> str:
    definition = thing.function if isinstance(thing, Subscription) else thing
    return f"{definition.__module__}.{definition.__qualname__}"
