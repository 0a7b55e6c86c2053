"""Runs one benchmark and prints its table.

python benchmarks/run.py drain         # messages per second, beside django-post-office
python benchmarks/run.py tune          # which settings are best for each of them
python benchmarks/run.py publish       # what publish() costs the caller
python benchmarks/run.py memory        # peak memory of each process
python benchmarks/run.py statements    # SQL statements per message
python benchmarks/run.py profile       # where the time goes

--messages N    mails in a drain (2000)          --rounds N   repetitions, of which the median is told (5)
--threads N     threads of communique_worker     --json       for programs instead of people
"""

import argparse
import sys
from collections.abc import Callable

import ground
from tables import Table

NAMES = ("drain", "tune", "publish", "memory", "statements", "profile")


def main() -> None:
    options = arguments()
    with ground.database(options.messages):
        table = measure(options.benchmark)(options)
    sys.stdout.write((table.as_json() if options.json else table.as_text()) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=NAMES)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(name: str) -> Callable[[argparse.Namespace], Table]:
    # Not at the top: they need the host project to be set up.
    from measures import drain, memory, profile, publish, statements, tune

    modules = {"drain": drain, "tune": tune, "publish": publish, "memory": memory, "statements": statements}
    return (modules | {"profile": profile})[name].measure


if __name__ == "__main__":
    main()
