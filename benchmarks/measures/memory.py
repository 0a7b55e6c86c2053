"""Peak memory of every process of a sender while it drains: PSS, which counts shared pages in proportion.

python benchmarks/run.py memory
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from draining import drain
from sink import Sink
from tables import Table, middle

from measures.drain import Setup, setups

APART = 0.1


class Peaks:
    """The most that each process was seen to use, in MB; asked every tenth of a second."""

    def __init__(self) -> None:
        self.of: dict[int, float] = {}
        self.parent = 0
        self._looked_at = 0.0

    def look(self, parent: int) -> None:
        if time.monotonic() - self._looked_at < APART:
            return
        self._looked_at, self.parent = time.monotonic(), parent
        for pid in (parent, *_children(parent)):
            self.of[pid] = max(self.of.get(pid, 0.0), _pss(pid))

    def sending(self) -> float:
        """The largest of those that send; a parent that has children only supervises them."""
        children = [peak for pid, peak in self.of.items() if pid != self.parent]
        return max(children or [self.of[self.parent]])

    def supervising(self) -> float:
        return self.of[self.parent] if len(self.of) > 1 else 0.0


def measure(options: argparse.Namespace) -> Table:
    lines = [line for line in setups(options.threads) if "caller" not in line.name]
    with Sink.running() as sink:
        rows = [_row(line, [_peaks(line, sink) for _ in range(options.rounds)]) for line in lines]
    return Table(
        title=f"Peak PSS while {options.messages} mails are drained, medians of {options.rounds}",
        rows=rows,
        notes=["sending: the largest process that sends. supervising: the parent of several."],
    )


def _peaks(line: Setup, sink: Sink) -> Peaks:
    peaks = Peaks()
    drain(line.system, sink=sink, processes=line.processes, watch=peaks.look)
    return peaks


def _row(line: Setup, runs: list[Peaks]) -> dict[str, object]:
    return {
        "MB": line.name,
        "sending": middle([run.sending() for run in runs]),
        "supervising": middle([run.supervising() for run in runs]),
    }


def _children(pid: int) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, listed.read_text().split())


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:"))
