"""Where backends are called: in a pool of threads, or at once."""

from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Protocol

from .. import backends
from ..outbox import Result
from .attempting import Call, attempt

Finished = dict[int, Result]


class Executor(Protocol):
    """Calls backends, and hands back what they brought by delivery key."""

    threads: int

    def submit(self, call: Call) -> None: ...
    def finished(self, timeout: float) -> Finished: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class Inline:
    """Calls the backend in the thread that asks: for tests and the immediate engine."""

    threads = 1

    def __init__(self) -> None:
        self._finished: Finished = {}

    def submit(self, call: Call) -> None:
        self._finished[call.delivery] = attempt(call)

    def finished(self, timeout: float) -> Finished:
        finished, self._finished = self._finished, {}
        return finished

    def wake(self) -> None:
        pass

    def close(self) -> None:
        backends.close_all()


class Pool:
    """Calls backends in threads of its own, which never touch the database."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="communique-send")
        self._finished: SimpleQueue[tuple[int, Result] | None] = SimpleQueue()

    def submit(self, call: Call) -> None:
        self._pool.submit(lambda: self._finished.put((call.delivery, attempt(call))))

    def finished(self, timeout: float) -> Finished:
        """What has finished by now; waits up to ``timeout`` seconds for the first, or for a wake-up."""
        finished: Finished = {}
        try:
            item = self._finished.get(timeout=timeout) if timeout else self._finished.get_nowait()
            while True:
                finished |= [item] if item else []
                item = self._finished.get_nowait()
        except Empty:
            return finished

    def wake(self) -> None:
        """End a wait early. Safe in a signal handler: SimpleQueue.put is reentrant."""
        self._finished.put(None)

    def close(self) -> None:
        """Let open calls finish, then end the threads with their connections."""
        for _ in range(self.threads):
            self._pool.submit(backends.close_all)
        self._pool.shutdown()
