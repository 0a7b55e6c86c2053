"""Messages per second from a full queue to the sink, by communique and by django-post-office, in one run.

    python benchmarks/run.py drain

All systems take turns in every round. The clock starts when the sender's command begins its work (interpreter, imports
and checks are over) and stops when the last mail arrives at the sink. Communique's time includes expanding events,
loading rows, rendering, attempts and contents; post_office's includes rendering, from the same templates.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from draining import Drained, drain
from sink import Sink
from systems import Communique, PostOffice, System
from tables import Table, middle

# The best of `run.py tune`; log level 0 and batches of all that is queued, as its documentation advises.
BEST = {"LOG_LEVEL": 0, "BATCH_SIZE": 2000, "THREADS_PER_PROCESS": 8}
REFERENCE = "post_office, tuned, 2 processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One line of the table."""

    name: str
    system: System
    processes: int


def setups(threads: int) -> list[Setup]:
    ours, theirs = Communique(threads=threads), PostOffice(settings=BEST)
    as_installed = PostOffice(whole=True)
    by_caller = PostOffice(settings=BEST, rendered_by="caller")
    return [
        Setup(name="communique, 1 process", system=ours, processes=1),
        Setup(name="post_office, tuned, 1 process", system=theirs, processes=1),
        Setup(name="communique, 2 processes", system=ours, processes=2),
        Setup(name=REFERENCE, system=theirs, processes=2),
        Setup(name="post_office, as installed, 2 processes", system=as_installed, processes=2),
        Setup(name="post_office, tuned, rendered by the caller, 2 processes", system=by_caller, processes=2),
    ]


def measure(options: argparse.Namespace) -> Table:
    lines = setups(options.threads)
    with Sink.running() as sink:
        rounds = [
            {line.name: drain(line.system, sink=sink, processes=line.processes) for line in lines}
            for _ in range(options.rounds)
        ]
    size = rounds[0][lines[0].name].size
    return Table(
        title=f"Draining {options.messages} mails of {size / 1000:.1f} KB, medians of {options.rounds}",
        rows=[_row(line, rounds) for line in lines],
        notes=[
            f"ratio: to {REFERENCE!r}, median of the ratios within each round.",
            "arriving: counted from the first mail at the sink, which spares post_office its rendering: not quoted.",
            "settled: counted until every row says that its mail was sent.",
            "cpu: milliseconds of the sender's processes per mail; the database's and the sink's are not in it.",
            "caller: milliseconds that one publish() or one mail.send() takes of the request.",
        ],
    )


def _row(line: Setup, rounds: Sequence[dict[str, Drained]]) -> dict[str, object]:
    runs = [one[line.name] for one in rounds]
    return {
        "messages/s": line.name,
        "work": middle([run.rate for run in runs]),
        "ratio": middle([one[line.name].rate / one[REFERENCE].rate for one in rounds]),
        "arriving": middle([run.messages / run.arriving for run in runs]),
        "settled": middle([run.messages / run.settled for run in runs]),
        "cpu": middle([run.cpu / run.messages * 1000 for run in runs]),
        "caller": asked(line.system),
    }


def asked(system: System, times: int = 200) -> float:
    """Milliseconds that asking for one mail takes of a request which has its order in hand, inside a transaction."""
    ask = system.asking()
    spent = []
    with transaction.atomic():
        for order in system.orders()[:times]:
            started = time.perf_counter()
            ask(order)
            spent.append(time.perf_counter() - started)
        transaction.set_rollback(True)
    return middle(spent) * 1000
