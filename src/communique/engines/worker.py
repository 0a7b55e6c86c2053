"""``ENGINE = "worker"``: one process of ``communique_worker``, and the wake-up that reaches it.

Four threads: the main one sends; *intake* expands events, and *handling* runs handlers, so that a slow handler or a
slow ``recipients()`` delays no mail; *heartbeat* renews leases, so that a slow provider costs none.
"""

import logging
import os
import random
import threading
from collections.abc import Callable, Collection

from django.db import connections

from .. import clock, conf, eventlog, outbox, wakeups
from ..exceptions import where
from ..expanding import expand_due
from ..reacting import react_to_next
from ..sending import Pool, Sender, recover_lost

logger = logging.getLogger("communique.worker")

wake = wakeups.ring

# Seconds before a step that failed is tried again, doubled up to the second figure.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# Seconds of waiting for providers after which the database connection is given up.
_IDLE = 0.5


class Worker:
    """One process that expands, handles and sends until it is told to stop, or until its ``supervisor`` is gone."""

    def __init__(
        self, *, using: str, threads: int, channels: Collection[str] | None = None, supervisor: int | None = None
    ) -> None:
        self.using = using
        self.sender = Sender(using=using, executor=Pool(threads), channels=channels)
        self._supervisor = supervisor
        self._holding: set[int] = set()
        self._recovered_at = float("-inf")
        self._handlers_wanted = threading.Event()
        # Claim nothing more; then, open attempts have been written; then, all threads but the heartbeat have ended.
        self._stopping, self._drained, self._ended = (threading.Event() for _ in range(3))

    def stop(self) -> None:
        """Claim nothing more, let open attempts and handlers finish, then end. Safe in a signal handler, and twice."""
        self._stopping.set()
        self._handlers_wanted.set()
        self.sender.executor.wake()

    def run(self) -> None:
        """Work until :meth:`stop`."""
        heartbeat = self._thread("heartbeat", self._beat, self._ended)
        others = [self._thread("intake", self._take_in, self._stopping)]
        others.append(self._thread("handling", self._handle, self._stopping))
        self._repeat(self._send, self._stopping)
        self._drain_all(others)
        heartbeat.join()

    def run_once(self) -> None:
        """Work until nothing is due, or until :meth:`stop`; raises what a step raises."""
        heartbeat = self._thread("heartbeat", self._beat, self._ended)
        try:
            while not self._stopping.is_set() and self._do_anything():
                pass
        finally:
            self.stop()
            self._drain_all([])
            heartbeat.join()

    def _do_anything(self) -> bool:
        self._recover()
        if expand_due(self.using, self._holding) or react_to_next(self.using, self._holding) or self.sender.turn():
            return True
        if self.sender.busy:
            self.sender.wait(conf.poll_seconds())
            return True
        return False

    def _drain_all(self, others: Collection[threading.Thread]) -> None:
        self._repeat(self._drain, self._drained)
        for thread in others:
            thread.join()
        self._ended.set()
        self.sender.executor.close()
        connections.close_all()

    def _thread(self, name: str, step: Callable[[], None], until: threading.Event) -> threading.Thread:
        def run() -> None:
            try:
                self._repeat(step, until)
            finally:
                connections.close_all()

        thread = threading.Thread(target=run, name=f"communique-{name}", daemon=True)
        thread.start()
        return thread

    def _repeat(self, step: Callable[[], None], until: threading.Event) -> None:
        """Do one step after the other; one that raises is repeated later, on a fresh connection."""
        pause = _FIRST_PAUSE
        while not until.is_set():
            try:
                step()
                pause = _FIRST_PAUSE
            except Exception as error:
                logger.error("%s failed, again in about %.1f s: %s", step.__name__.strip("_"), pause, where(error))
                _give_up_connection(self.using)
                until.wait(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _send(self) -> None:
        if self.sender.turn():
            return
        began = clock.monotonic()
        if not self.sender.wait(conf.poll_seconds()) and self.sender.busy and clock.monotonic() - began > _IDLE:
            # Providers take their time: no connection is kept idle for that long.
            connections[self.using].close()

    def _drain(self) -> None:
        self.sender.give_back()
        self.sender.close_finished()
        if self.sender.busy:
            self.sender.wait(conf.poll_seconds())
        else:
            self._drained.set()

    def _take_in(self) -> None:
        """One session of intake: listening has a connection that lasts until the thread ends or fails."""
        listener = wakeups.listener(self.using, self._stopping)
        try:
            while not self._stopping.is_set():
                self._recover()
                if expand_due(self.using, self._holding):
                    self._pass_on()
                else:
                    listener.wait(conf.poll_seconds())
                    # Whoever rang may have been served by another process; what it left is anybody's.
                    self._pass_on()
                self._stop_if_orphaned()
        finally:
            listener.close()

    def _pass_on(self) -> None:
        self._handlers_wanted.set()
        self.sender.executor.wake()

    def _stop_if_orphaned(self) -> None:
        # A supervisor that was killed cannot tell its children to stop.
        if self._supervisor not in (None, os.getppid()):
            logger.warning("the supervisor of this worker is gone: stopping")
            self.stop()

    def _handle(self) -> None:
        self._handlers_wanted.clear()
        if react_to_next(self.using, self._holding):
            # It may have been a message whose recipients were found after all.
            self.sender.executor.wake()
            self._handlers_wanted.set()
        self._handlers_wanted.wait(conf.poll_seconds())

    def _recover(self) -> None:
        if clock.monotonic() - self._recovered_at > conf.lease().total_seconds() / 4:
            # Noted first: should it raise, intake goes on with expanding before it is tried again.
            self._recovered_at = clock.monotonic()
            recover_lost(self.using)

    def _beat(self) -> None:
        if self._ended.wait(conf.lease().total_seconds() / 3):
            return
        lease, now = conf.lease(), clock.now(self.using)
        outbox.renew(self.using, self.sender.held(), now=now, lease=lease)
        eventlog.renew(self.using, tuple(self._holding), now=now, lease=lease)
        # Idle for the next third of a lease: no connection is kept for that.
        connections.close_all()


def _give_up_connection(using: str) -> None:
    try:
        connections[using].close()
    except Exception as error:
        logger.debug("closing a broken connection: %s", where(error))
        # What cannot be closed is forgotten; Django opens another on the next query.
        connections[using].connection = None
