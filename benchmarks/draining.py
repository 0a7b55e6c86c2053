"""One drain: a sender started on a full queue, and what the sink, the clock and the kernel say of it."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ground
from sink import Sink
from systems import System

LONGEST = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What one drain took, in seconds.

    ``work``: from the start of the work, after start-up, to the last mail's arrival at the sink: the figure that is
    quoted. ``arriving``: from the first mail to the last. ``settled``: from the start of the work until every row says
    that its mail was sent. ``cpu``: what the sender's processes used of the processor after start-up.
    """

    messages: int
    size: int
    work: float
    arriving: float
    settled: float
    cpu: float
    peak_mb: list[float] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.messages / self.work


def drain(
    system: System, *, sink: Sink, processes: int, observe: str = "", watch: Callable[[int], None] | None = None
) -> Drained:
    """Fill, start, wait until all is sent and written down, stop. ``watch`` is called with the sender's process id."""
    messages = system.fill()
    ground.rest()
    sink.reset()
    cpu_before = _cpu_of_children()
    with ground.scratch_file() as path:
        more = {"BENCH_SMTP_PORT": str(sink.port), "BENCH_REPORT": str(path), "BENCH_OBSERVE": observe}
        command = [sys.executable, ground.HERE / "launch.py", *system.command(processes)]
        environ = ground.environ(**more, **system.environ())
        with subprocess.Popen(command, env=environ, cwd=ground.HERE) as sender:  # noqa: S603 - its own program
            try:
                settled = _wait(system, sink, messages, sender, watch)
            finally:
                if not system.ends:
                    sender.terminate()
        report = json.loads(path.read_text())
    arrived = sink.stats()
    if arrived.count != messages:
        raise RuntimeError(f"{arrived.count} mails arrived instead of {messages}")
    began, startup_cpu = report.pop("began"), report.pop("startup_cpu")
    return Drained(
        messages=messages,
        size=arrived.size // messages,
        work=arrived.last - began,
        arriving=arrived.last - arrived.first,
        settled=settled - began,
        cpu=_cpu_of_children() - cpu_before - startup_cpu,
        report=report,
    )


def _cpu_of_children() -> float:
    """Seconds used by child processes that have ended, and by theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait(
    system: System, sink: Sink, messages: int, sender: "subprocess.Popen[bytes]", watch: Callable[[int], None] | None
) -> float:
    give_up = time.monotonic() + LONGEST
    while sink.stats().count < messages or system.settled() < messages:
        if time.monotonic() > give_up or sender.poll():
            raise RuntimeError(f"{sink.stats().count} of {messages} sent, {system.settled()} settled")
        if watch:
            watch(sender.pid)
        time.sleep(0.02)
    return time.monotonic()
