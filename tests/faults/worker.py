"""Workers in processes of their own, each the leader of a group that can be killed as a whole.

They run the real command, forked from a process that has loaded Django and nothing else.
"""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from .points import Fault, install

# In seconds; waited in full only by a test that fails.
PATIENCE = 60.0

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker finds: a provider, and the project's settings."""

    log: Path
    smtp: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    fault: Fault | None = None


def load_django_once(database: str) -> None:
    """Start the process that all workers are forked from."""
    _context.set_forkserver_preload(["__main__", "tests.faults.warm"])
    environ = {"COMMUNIQUE_TEST_DATABASE_NAME": database, "PYTHONPATH": os.pathsep.join(sys.path)}
    with patch.dict(os.environ, environ):
        forkserver.ensure_running()


class Running:
    """A process that was started for a test."""

    def __init__(self, target: Callable[..., None], surroundings: Surroundings, *args: object) -> None:
        self._told, telling = _context.Pipe(duplex=False)
        self.process: ForkServerProcess = _context.Process(target=_begin, args=(target, surroundings, telling, *args))
        self.process.start()
        telling.close()
        self._expect("up")

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def reached(self, point: str) -> None:
        """Wait until it is at the point of its fault."""
        self._expect(point)

    def _expect(self, word: str) -> None:
        assert self._told.poll(PATIENCE), f"waited in vain for {word!r}"
        assert self._told.recv() == word

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started."""
        os.kill(self.pid, number)

    def go_on(self) -> int:
        """Let a stopped process go on to its end; return its exit code."""
        give_up = time.monotonic() + PATIENCE
        while self.process.exitcode is None:
            assert time.monotonic() < give_up, "it did not end"
            # Again and again: it may have said that it stops, and not have stopped yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
            self.process.join(0.05)
        return self.process.exitcode

    def kill(self) -> None:
        """Kill -9 the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.join()

    def ended(self) -> int:
        """Wait for the end of the process that was started; return its exit code, or the signal as a negative."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "it did not end"
        return self.process.exitcode


def _begin(target: Callable[..., None], around: Surroundings, telling: Connection, *args: object) -> None:
    import tests.faults.warm  # noqa: F401 # done already, unless it failed

    os.setsid()
    log = os.open(around.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
    _set_up(around)
    if around.fault:
        install(around.fault, telling.send)
    telling.send("up")
    target(*args)


def _set_up(around: Surroundings) -> None:
    import django
    from django.conf import settings

    settings.COMMUNIQUE = {**settings.COMMUNIQUE, **around.options}
    if django.VERSION >= (6, 1):
        settings.SMTP.update(around.smtp)
    else:
        for name, value in around.smtp.items():
            setattr(settings, f"EMAIL_{name.upper()}", value)


def communique_worker(options: Mapping[str, object]) -> None:
    """Run the command."""
    from django.core.management import call_command

    call_command("communique_worker", **options)
