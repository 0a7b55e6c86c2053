"""``ENGINE = "worker"``: one process of ``communique_worker``, and the wake-up that reaches it.

Three threads: the main one sends; *intake* expands events and runs handlers, so that a slow handler or a slow
``recipients()`` delays no mail; *heartbeat* renews leases, so that a slow provider costs none.
"""

import logging
import random
import threading
from collections.abc import Callable, Collection

from django.db import connections

from .. import clock, conf, eventlog, outbox, wakeups
from ..exceptions import where
from ..expanding import expand_due
from ..reacting import react_to_due
from ..sending import Pool, Sender, recover_lost

logger = logging.getLogger("communique.worker")

wake = wakeups.ring

# Seconds before a step that failed is tried again, doubled up to the second figure.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Worker:
    """One process that expands, reacts and sends until it is told to stop.

    ``once``: it stops by itself when nothing is due.
    """

    def __init__(
        self, *, using: str, threads: int, channels: Collection[str] | None = None, once: bool = False
    ) -> None:
        self.using = using
        self.once = once
        self.sender = Sender(using=using, executor=Pool(threads), channels=channels)
        self._holding: set[int] = set()
        self._recovered_at = float("-inf")
        # Claim nothing more; then, when open attempts have been written: end.
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._took_in = threading.Event()

    def stop(self) -> None:
        """Claim nothing more, let open attempts finish, then end. Safe in a signal handler, and twice."""
        self._stopping.set()
        self.sender.executor.wake()

    def run(self) -> None:
        """Work until :meth:`stop`."""
        threads = [
            threading.Thread(target=self._take_in_all, name="communique-intake", daemon=True),
            threading.Thread(target=self._beat_on, name="communique-heartbeat", daemon=True),
        ]
        for thread in threads:
            thread.start()
        self._repeat(self._send, self._stopping)
        threads[0].join()
        self._repeat(self._drain, self._drained)
        threads[1].join()
        self.sender.executor.close()
        connections.close_all()

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
        # Asked before the turn: what is expanded after it would be left behind.
        all_in = self._took_in.is_set()
        if self.sender.turn():
            return
        if self.once and all_in and not self.sender.busy:
            self.stop()
        else:
            self.sender.wait(conf.poll_seconds())

    def _drain(self) -> None:
        self.sender.give_back()
        self.sender.close_finished()
        if self.sender.busy:
            self.sender.wait(conf.poll_seconds())
        else:
            self._drained.set()

    def _take_in_all(self) -> None:
        self._listener = wakeups.listener(self.using, self._stopping)
        try:
            self._repeat(self._take_in, self._stopping)
        finally:
            self._listener.close()
            connections.close_all()

    def _take_in(self) -> None:
        self._took_in.clear()
        self._recover()
        worked = expand_due(self.using, self._holding) + react_to_due(self.using, self._holding)
        self.sender.executor.wake()
        if worked:
            return
        self._took_in.set()
        self._listener.wait(conf.poll_seconds())
        # Whoever rang may have been served by another process; its deliveries are anybody's.
        self.sender.executor.wake()

    def _recover(self) -> None:
        if clock.monotonic() - self._recovered_at > conf.lease().total_seconds() / 4:
            recover_lost(self.using)
            self._recovered_at = clock.monotonic()

    def _beat_on(self) -> None:
        self._repeat(self._beat, self._drained)

    def _beat(self) -> None:
        if self._drained.wait(conf.lease().total_seconds() / 3):
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
