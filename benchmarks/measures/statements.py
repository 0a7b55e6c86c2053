"""SQL statements per message while a worker drains, by stage and by what they are.

    python benchmarks/run.py statements

Counted inside the worker, in all of its threads. BEGIN travels with the first statement of a transaction; commits are
counted beside the statements.
"""

import argparse

from draining import drain
from sink import Sink
from systems import Communique
from tables import Table


def measure(options: argparse.Namespace) -> Table:
    with Sink.running() as sink:
        drained = drain(Communique(threads=options.threads), sink=sink, processes=1, observe="stages")
    stages = drained.report["stages"]
    rows = [
        {"stage": stage, "statement": kind, "in all": count, "per message": count / drained.messages}
        for stage, spent in stages.items()
        for kind, count in spent["statements"].items()
    ]
    rows.sort(key=lambda row: -row["in all"])
    rows.append({"stage": "all", "statement": "", **_counts(sum(row["in all"] for row in rows), drained.messages)})
    rows.append({"stage": "commits", "statement": "", **_counts(stages["commit"]["calls"], drained.messages)})
    return Table(title=f"Statements of one worker with {options.threads} threads, {drained.messages} mails", rows=rows)


def _counts(count: int, messages: int) -> dict[str, float]:
    return {"in all": count, "per message": count / messages}
