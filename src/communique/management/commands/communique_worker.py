"""``manage.py communique_worker``: expands, handles and sends until it is told to stop."""

import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from communique import conf, eventlog
from communique.engines.worker import Worker

logger = logging.getLogger("communique.worker")

# Seconds before a child that died is replaced, so that one that dies at once does not spin.
_PAUSE = 1.0


class Command(BaseCommand):
    help = "Send what is due, and go on until SIGTERM or SIGINT: open attempts finish, nothing new is claimed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1, help="sending processes (default 1)")
        parser.add_argument("--threads", type=int, default=8, help="concurrent sends per process (default 8)")
        parser.add_argument("--channels", default="", help="only these channels, comma separated (default all)")
        parser.add_argument("--once", action="store_true", help="stop when nothing is due")
        parser.add_argument("--database", default="", help="the database of the outbox (default: by the routers)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1 or options["threads"] < 1:
            raise CommandError("--processes and --threads must be at least 1")
        keywords = {
            "using": options["database"] or eventlog.database(),
            "threads": options["threads"],
            "channels": _channels(options["channels"]),
        }
        if options["processes"] == 1:
            _work(keywords, options["once"])
        elif not _Supervisor(options["processes"], keywords, options["once"]).run():
            raise CommandError("a worker process failed; its log says why")


def _channels(given: str) -> list[str] | None:
    names = [name.strip() for name in given.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(conf.channels())):
        raise CommandError(f"--channels: {', '.join(unknown)} not in COMMUNIQUE['CHANNELS']")
    return names or None


def _work(keywords: dict[str, Any], once: bool) -> None:
    worker = Worker(**keywords)

    def stop(signum: int, frame: FrameType | None) -> None:
        worker.stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    logger.info("worker %s started with %s threads", os.getpid(), keywords["threads"])
    if once:
        worker.run_once()
    else:
        worker.run()
    logger.info("worker %s stopped", os.getpid())


class _Supervisor:
    """Keeps the asked number of processes running, and passes the word to stop on to them."""

    def __init__(self, processes: int, keywords: dict[str, Any], once: bool) -> None:
        self.keywords = keywords
        self.once = once
        self.processes = processes
        self.stopping = False
        self.children: list[BaseProcess] = []

    def run(self) -> bool:
        """Until all processes have ended; True if all did so in peace."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        self.children = [self._start() for _ in range(self.processes)]
        while any(child.is_alive() for child in self.children) or not self.stopping:
            for child in self.children:
                child.join(timeout=0.1)
            if self.stopping:
                self._terminate()
            elif not self.once:
                self._replace_dead()
            elif not any(child.is_alive() for child in self.children):
                break
        return all(child.exitcode == 0 for child in self.children)

    def _start(self) -> BaseProcess:
        # Forked before any connection or thread exists, so that the processes share the memory of the code.
        connections.close_all()
        keywords = self.keywords | {"supervisor": os.getpid()}
        child = multiprocessing.get_context("fork").Process(target=_work, args=(keywords, self.once))
        child.start()
        return child

    def _replace_dead(self) -> None:
        for position, child in enumerate(self.children):
            if not child.is_alive():
                logger.error("worker %s died with exit code %s: starting another", child.pid, child.exitcode)
                time.sleep(_PAUSE)
                self.children[position] = self._start()

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _terminate(self) -> None:
        for child in self.children:
            if child.is_alive():
                child.terminate()
