"""Runs one management command of the host project as an operator would, and tells when its work began.

    python benchmarks/launch.py communique_worker --processes 2

Interpreter, imports, django.setup() and system checks are start-up; the work begins when the command's ``handle()`` is
entered. BENCH_REPORT names the file that gets that time, and what was observed if BENCH_OBSERVE is "stages".
"""

import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import django
from django.core.management import execute_from_command_line, get_commands, load_command_class


def main(arguments: list[str]) -> None:
    django.setup()
    report: dict[str, Any] = {}
    path = Path(os.environ["BENCH_REPORT"])
    note_start(arguments[0], path, report)
    observe = os.environ.get("BENCH_OBSERVE")
    if observe:
        import observing

        observing.install()
    execute_from_command_line(["manage.py", *arguments])
    if observe:
        write(path, report | observing.report())


def note_start(command: str, path: Path, report: dict[str, Any]) -> None:
    cls = type(load_command_class(get_commands()[command], command))
    handle = cls.handle

    @functools.wraps(handle)
    def noting(self: Any, *args: Any, **options: Any) -> Any:
        report.update(began=time.monotonic(), startup_cpu=time.process_time())
        write(path, report)
        return handle(self, *args, **options)

    cls.handle = noting


def write(path: Path, report: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report))
    part.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
