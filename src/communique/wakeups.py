"""From a commit to a worker that wakes up at once; a wake-up that is lost, late or doubled costs nothing but time.

PostgreSQL carries them by NOTIFY and LISTEN, each on a connection of its own: inside the publisher's transaction a
NOTIFY would serialise all commits. Elsewhere workers poll.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django.db import connections

from .exceptions import where

logger = logging.getLogger("communique.wakeups")

_CHANNEL = "communique"
# At most 20 a second: a burst of commits is one wake-up.
_APART = 0.05
# Seconds without a commit after which the bell's connection is given up.
_IDLE = 1.0

_muted = False


@contextmanager
def muted() -> Iterator[None]:
    """Ring for nobody: a test database cannot be dropped while a bell still holds a connection to it."""
    global _muted
    before, _muted = _muted, True
    try:
        yield
    finally:
        _muted = before


def ring(using: str) -> None:
    """Wake the workers of a database; returns at once."""
    if connections[using].vendor == "postgresql" and not _muted:
        _bell(using).ring()


class _Bell:
    """Rings from a thread of its own, which ends when there was nothing to ring for."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.pid = os.getpid()
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        with self._lock:
            self._asked.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="communique-bell", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        connection = connections.create_connection(self.using)
        try:
            while self._is_needed():
                self._asked.clear()
                with connection.cursor() as cursor:
                    cursor.execute(f"NOTIFY {_CHANNEL}")
                time.sleep(_APART)
        except Exception as error:
            # Workers poll: this costs them a second at most.
            logger.warning("no wake-up: %s", where(error))
            with self._lock:
                self._thread = None
        finally:
            connection.close()

    def _is_needed(self) -> bool:
        if self._asked.wait(timeout=_IDLE):
            return True
        with self._lock:
            if self._asked.is_set():
                return True
            self._thread = None
            return False


_bells: dict[str, _Bell] = {}


def _bell(using: str) -> _Bell:
    bell = _bells.get(using)
    # A forked child has the bell of its parent, but not the thread.
    if bell is None or bell.pid != os.getpid():
        bell = _bells[using] = _Bell(using)
    return bell


class Listener(Protocol):
    """Sleeps until something may be due."""

    def wait(self, seconds: float) -> None: ...
    def close(self) -> None: ...


def listener(using: str, stopping: threading.Event) -> Listener:
    """The best listener that the database offers."""
    return Listening(using, stopping) if can_listen(using) else Polling(stopping)


def can_listen(using: str) -> bool:
    """PostgreSQL through psycopg 3: its predecessor cannot wait for a notification."""
    connection: Any = connections[using]
    return bool(connection.vendor == "postgresql" and connection.Database.__name__ == "psycopg")


class Polling:
    """Sleeps for as long as it is told."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def wait(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def close(self) -> None:
        pass


class Listening:
    """Sleeps until a NOTIFY, on a connection that does nothing else; not through a transaction pooler."""

    def __init__(self, using: str, stopping: threading.Event) -> None:
        self.using = using
        self._stopping = stopping
        self._connection: Any = None

    def wait(self, seconds: float) -> None:
        try:
            raw = self._listening()
            for _ in raw.notifies(timeout=seconds, stop_after=1):
                pass
        except Exception as error:
            logger.warning("not listening: %s", where(error))
            self.close()
            self._stopping.wait(seconds)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _listening(self) -> Any:
        if self._connection is None:
            self._connection = connections.create_connection(self.using)
            with self._connection.cursor() as cursor:
                cursor.execute(f"LISTEN {_CHANNEL}")
        return self._connection.connection
