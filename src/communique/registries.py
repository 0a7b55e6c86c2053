"""Turns definitions in host code into a lookup by their stable keys, remembering what a system check should tell."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from .exceptions import UnknownKey

_KEY = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9_]+")
_LONGEST_KEY = 100  # what the columns of stored keys hold


T = TypeVar("T")


def check_key(key: object, owner: str) -> None:
    """Raise TypeError unless the key is of the form ``shop.order_placed``."""
    if not isinstance(key, str) or not _KEY.fullmatch(key) or len(key) > _LONGEST_KEY:
        raise TypeError(
            f"{owner}: a key is written `app.name`, in lower-case letters, digits and underscores, and has at most "
            f"{_LONGEST_KEY} characters, such as 'shop.order_placed'; this one is {key!r}"
        )


class Registry(Generic[T]):
    """Everything of one kind, by key.

    Defining the same name in the same module again replaces it, as when a module is reloaded. Of two definitions
    that share a key, the first one counts and :meth:`duplicates` tells.
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._by_key: dict[str, dict[tuple[str, str], T]] = {}
        self._keyless: dict[tuple[str, str], T] = {}

    def add(self, key: str, item: T, definition: Any) -> None:
        """Remember what a class or function defines; an empty key is remembered as an omission."""
        if key:
            check_key(key, definition.__qualname__)
        place = (definition.__module__, definition.__qualname__)
        (self._by_key.setdefault(key, {}) if key else self._keyless)[place] = item

    def get(self, key: str) -> T:
        """Raises UnknownKey."""
        if key not in self._by_key:
            raise UnknownKey(f"no {self.noun} with the key {key!r} is known to this process")
        return next(iter(self._by_key[key].values()))

    def known(self) -> dict[str, T]:
        return {key: self.get(key) for key in self._by_key}

    def duplicates(self) -> dict[str, tuple[T, ...]]:
        """Keys that several definitions claim."""
        return {key: tuple(items.values()) for key, items in self._by_key.items() if len(items) > 1}

    def keyless(self) -> tuple[T, ...]:
        return tuple(self._keyless.values())

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Forget on leaving whatever was added inside: for tests that define things."""
        kept = {key: dict(items) for key, items in self._by_key.items()}, dict(self._keyless)
        try:
            yield
        finally:
            self._by_key, self._keyless = kept
