"""Where a worker's time goes: microseconds per message of each stage, without the stages inside it.

    python benchmarks/run.py profile

Timers stand around the stages, in all threads of a real worker. "wall" minus "cpu" is waiting: for the database, for
the SMTP server, or for Python's lock, which only one thread at a time holds; the sum of "cpu" is what one process
cannot be faster than.
"""

import argparse
from typing import Any

from draining import Drained, drain
from sink import Sink
from systems import Communique
from tables import Table, middle


def measure(options: argparse.Namespace) -> Table:
    with Sink.running() as sink:
        system = Communique(threads=options.threads)
        runs = [drain(system, sink=sink, processes=1, observe="stages") for _ in range(options.rounds)]
    stages = dict.fromkeys(stage for run in runs for stage in run.report["stages"])
    rows = sorted((_row(stage, runs) for stage in stages), key=lambda row: -row["cpu"])
    total = {name: sum(row[name] for row in rows) for name in ("cpu", "statements")}
    rows.append({"microseconds per message": "all", "calls": "", "wall": "", "database": "", **total})
    return Table(
        title=f"Stages of one worker with {options.threads} threads, medians of {options.rounds}",
        rows=[{name: row[name] for name in rows[0]} for row in rows],
        notes=["calls and statements: per message. database: the part of wall that statements took."],
    )


def _row(stage: str, runs: list[Drained]) -> dict[str, Any]:
    spent = [run.report["stages"].get(stage) or _NOTHING for run in runs]
    messages = runs[0].messages
    return {
        "microseconds per message": stage,
        "calls": middle([one["calls"] / messages for one in spent]),
        "cpu": middle([one["cpu"] / messages * 1e6 for one in spent]),
        "wall": middle([one["wall"] / messages * 1e6 for one in spent]),
        "database": middle([one["database"] / messages * 1e6 for one in spent]),
        "statements": middle([sum(one["statements"].values()) / messages for one in spent]),
    }


_NOTHING = {"calls": 0, "cpu": 0.0, "wall": 0.0, "database": 0.0, "statements": {}}
