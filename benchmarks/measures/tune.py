"""Which settings drain fastest: threads for communique; batch size, threads and template rows for post_office.

python benchmarks/run.py tune --rounds 3
"""

import argparse
from collections.abc import Iterator

from draining import drain
from sink import Sink
from systems import Communique, PostOffice
from tables import Table, middle

from measures.drain import Setup


def setups() -> Iterator[Setup]:
    for threads in (4, 8, 16, 32):
        for processes in (1, 2):
            yield Setup(
                name=f"communique --processes {processes} --threads {threads}",
                system=Communique(threads=threads),
                processes=processes,
            )
    for batch in (100, 500, 2000):
        for threads in (1, 2, 4, 8):
            yield Setup(
                name=f"post_office --processes 2, BATCH_SIZE {batch}, THREADS_PER_PROCESS {threads}",
                system=PostOffice(settings={"LOG_LEVEL": 0, "BATCH_SIZE": batch, "THREADS_PER_PROCESS": threads}),
                processes=2,
            )


def measure(options: argparse.Namespace) -> Table:
    lines = list(setups())
    with Sink.running() as sink:
        rounds = [
            {line.name: drain(line.system, sink=sink, processes=line.processes) for line in lines}
            for _ in range(options.rounds)
        ]
    rows = [
        {
            "messages/s": line.name,
            "work": middle([one[line.name].rate for one in rounds]),
            "cpu": middle([one[line.name].cpu / options.messages * 1000 for one in rounds]),
        }
        for line in lines
    ]
    return Table(title=f"Settings, {options.messages} mails, medians of {options.rounds}", rows=rows)
