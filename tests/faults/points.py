"""Named points in a worker's work at which a test lets it die, stop or fail.

The package knows nothing of them: they are put around its functions, and around those of `smtplib`, in the process of
the worker only.
"""

import os
import select
import signal
import smtplib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pkgutil import resolve_name
from threading import Condition, Lock, get_ident
from typing import Any, Literal

Pass = Callable[[], None]
When = Callable[..., object]


class HostError(Exception):
    """What the host's code raises when a test tells it to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at the ``nth`` pass of a point (0: at each); where the host's code fails, for this ``order``."""

    point: str
    do: Literal["kill", "stop", "raise"] = "kill"
    nth: int = 1
    order: str = ""


def install(fault: Fault, tell: Callable[[str], None]) -> None:
    """Let it happen in this process; ``tell`` is called just before."""
    passes, lock = 0, Lock()
    if fault.do == "stop":
        standstill = _Standstill()

    def passed() -> None:
        nonlocal passes
        with lock:
            passes += 1
            if fault.nth not in (0, passes):
                return
        tell(fault.point)
        match fault.do:
            case "raise":
                raise HostError(fault.point)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                standstill.stop()

    if fault.order:
        _HOST_CODE[fault.point](fault.order, passed)
    else:
        _POINTS[fault.point](passed)


class _Standstill:
    """Stops the process while none of its threads is in a transaction: what is locked then would be so for all."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._stopping = False
        self._inside: Counter[int] = Counter()
        _replace("django.db.transaction.Atomic.__enter__", self._enter)
        _replace("django.db.transaction.Atomic.__exit__", self._exit)

    def _enter(self, original: Callable[..., None], atomic: object) -> None:
        me = get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._inside[me] or not self._stopping)
            self._inside[me] += 1
        try:
            original(atomic)
        except BaseException:
            self._leave()
            raise

    def _exit(self, original: Callable[..., None], atomic: object, *raised: object) -> None:
        try:
            original(atomic, *raised)
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._inside[get_ident()] -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.wait_for(lambda: not self._inside.total())
            os.kill(os.getpid(), signal.SIGSTOP)
            self._stopping = False
            self._changed.notify_all()


def _before(function: str, when: When = lambda *args, **kwargs: True) -> Callable[[Pass], None]:
    def put(passed: Pass) -> None:
        def wrap(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if when(*args, **kwargs):
                passed()
            return original(*args, **kwargs)

        _replace(function, wrap)

    return put


def _after(function: str, when: When = lambda result, *args, **kwargs: True) -> Callable[[Pass], None]:
    def put(passed: Pass) -> None:
        def wrap(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if when(result, *args, **kwargs):
                passed()
            return result

        _replace(function, wrap)

    return put


def _replace(function: str, wrap: Callable[..., Any]) -> None:
    place, _, name = function.rpartition(".")
    owner = resolve_name(place)
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return wrap(original, *args, **kwargs)

    setattr(owner, name, wrapped)


def _half_written(passed: Pass) -> None:
    def data(self: smtplib.SMTP, mail: Any) -> tuple[int, bytes]:
        self.putcmd("data")
        self.getreply()
        self.send(mail[: len(mail) // 2])
        passed()
        raise AssertionError("nobody survives this point")

    smtplib.SMTP.data = data  # type: ignore[assignment,method-assign]


def _accepted(passed: Pass) -> None:
    def wrap(original: Callable[..., Any], self: smtplib.SMTP) -> Any:
        # The one reply that nothing but the final dot is waited for with.
        if getattr(self, "dotted", False):
            assert self.sock is not None
            select.select([self.sock], [], [])
            passed()
        return original(self)

    def dot(original: Callable[..., Any], self: Any, sent: Any) -> Any:
        original(self, sent)
        self.dotted = isinstance(sent, bytes) and sent.endswith(b"\r\n.\r\n")

    _replace("smtplib.SMTP.getreply", wrap)
    _replace("smtplib.SMTP.send", dot)


def _has_closings(using: str, closings: Any, *, ran_out: bool = False, **_: Any) -> bool:
    return bool(closings) and not ran_out


_POINTS: dict[str, Callable[[Pass], None]] = {
    # An event is under lease.
    "event claimed": _after("communique.eventlog.claim", when=lambda claims, *args, **kwargs: claims),
    # Its communications and deliveries are written, in a transaction that is still open.
    "expanding": _after("communique.outbox.add"),
    # A batch is under lease.
    "claimed": _after("communique.outbox.claim", when=lambda claims, *args, **kwargs: claims),
    # A mail is rendered; its attempt is not open.
    "rendered": _after("communique.sending.sender.render"),
    # The attempt is open in a transaction that is not committed.
    "opening": _after("communique.outbox.open", when=lambda opened, *args, **kwargs: opened),
    # The attempt is open, and nobody is connected.
    "opened": _before("smtplib.SMTP.connect"),
    # Half of the mail is on the wire.
    "half written": _half_written,
    # The provider has accepted: its reply is here, and has not been read.
    "accepted": _accepted,
    # The reply has been read, and nothing has been written about it.
    "answered": _before("communique.outbox.settle", when=_has_closings),
    # The outcome is written in a transaction that is not committed.
    "settling": _after("communique.outbox.settle", when=lambda settled, *args, **kwargs: settled),
    # The outcome is committed.
    "settled": _before("communique.sending.sender.tell"),
}


def _order_url(order: str, passed: Pass) -> None:
    from shop.communications import AboutOrder

    def order_url(self: AboutOrder) -> str:
        if self.order.number == order:
            passed()
        return original(self)

    original: Callable[[AboutOrder], str] = vars(AboutOrder)["order_url"].fget
    AboutOrder.order_url = property(order_url)  # type: ignore[assignment,method-assign]


def _recipients(order: str, passed: Pass) -> None:
    _before("shop.communications.AboutOrder.recipients", when=lambda self: self.order.number == order)(passed)


_HOST_CODE: dict[str, Callable[[str, Pass], None]] = {"order_url": _order_url, "recipients": _recipients}
