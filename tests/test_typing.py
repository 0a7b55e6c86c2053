"""Type checkers accept what is right and refuse what is wrong, at the very line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WRONG = "tests/typing/wrong.py"
CHECKED = ["tests/typing/correct.py", WRONG, "example_project/shop/events.py", "example_project/shop/communications.py"]

pytestmark = pytest.mark.once

Complaints = dict[tuple[str, int], str]


def mypy() -> Complaints:
    report = run("mypy", "--no-error-summary", "--no-pretty", "--hide-error-context", *CHECKED)
    lines = re.findall(r"^(.+?):(\d+): error: (.+)$", report, re.MULTILINE)
    return {(file, int(line)): complaint for file, line, complaint in lines}


def pyright() -> Complaints:
    report = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, *CHECKED))
    return {
        (Path(found["file"]).relative_to(ROOT).as_posix(), found["range"]["start"]["line"] + 1): found["message"]
        for found in report["generalDiagnostics"]
    }


def run(module: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr  # it ran, and found something
    return done.stdout


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_wrong_line_is_refused_and_no_other(checker: Callable[[], Complaints]) -> None:
    complaints = checker()
    lines = enumerate((ROOT / WRONG).read_text().splitlines(), 1)
    wrong = {(WRONG, number): line.strip() for number, line in lines if "# wrong: " in line}
    assert wrong
    assert {place: line for place, line in wrong.items() if place not in complaints} == {}
    assert {place: complaint for place, complaint in complaints.items() if place not in wrong} == {}


def test_what_type_checkers_accept_runs() -> None:
    code = (
        "import django; django.setup();"
        "from communique import events, messages; from communique.payloads import prepare; import tests.typing.correct;"
        "[prepare(cls) for registry in (events, messages) for cls in registry.known().values()]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
