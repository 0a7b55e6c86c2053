"""The documentation is true: the tutorial works as written, tables say what the code says, links lead somewhere."""

import ast
import doctest
import inspect
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management.base import BaseCommand

import communique
from communique import conf, messages, rendering
from communique.backends import DjangoMailBackend
from communique.management.commands.communique_worker import Command
from communique.messages import Message
from communique.outcomes import KINDS
from communique.reasons import Reason
from communique.retries import History, Policy, decide
from communique.states import MOVES, VERDICT_OF, Stage, State, Verdict
from communique.testing import Kit
from demo.visitor import Visitor

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial" / "first-message.md"
SOURCES = Path(communique.__file__).parent
PATIENCE = 60.0

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The first line of a block that belongs to a file: "# shop/events.py", "{# shop/templates/... #}", with or without
# ", at the end" and the releases of Django that it is for.
TITLE = re.compile(r"(?:#|\{#) (?P<file>\w[\w/]*\.\w+)(?P<end>, at the end)?(?: \((?P<when>.+)\))?(?: #\})?\n")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")

ADDRESS = "ada@shop.example"
# What the reader does that a test has done already: its own environment.
DONE = ("python -m venv", ". .venv", "python -m pip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block; ``file`` is empty if it belongs to none."""

    language: str
    file: str
    at_the_end: bool
    text: str


def blocks(page: Path) -> list[Block]:
    return [block for language, text in FENCE.findall(page.read_text()) if (block := read(language, text))]


def read(language: str, text: str) -> Block | None:
    title = TITLE.match(text)
    if title is None:
        return Block(language=language, file="", at_the_end=False, text=text)
    if title["when"] and ("6.1 and later" in title["when"]) is not (django.VERSION >= (6, 1)):
        return None
    return Block(language=language, file=title["file"], at_the_end=bool(title["end"]), text=text)


def files(page: Path) -> dict[str, str]:
    """What a page says of each file, in the order of the page."""
    said: dict[str, str] = defaultdict(str)
    for block in blocks(page):
        if block.file:
            said[block.file] += block.text
    return said


@dataclass(frozen=True, slots=True)
class Project:
    """What a reader makes, in a folder and on ports of its own."""

    folder: Path
    site: int
    mail: int

    def write(self, block: Block) -> None:
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() + "\n\n" if block.at_the_end else ""
        path.write_text(before + self.local(block.text))

    def run(self, command: str, **environment: str) -> str:
        done = subprocess.run(
            self.words(command), cwd=self.folder, env=clean() | environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def started(self, command: str, port: int) -> Iterator[Path]:
        """Run it beside the test once it listens; yields the file that it prints to."""
        printed = self.folder / f"printed-{port}"
        with printed.open("w") as out:
            program = subprocess.Popen(
                self.words(command), cwd=self.folder, env=clean(), stdout=out, stderr=subprocess.STDOUT
            )
        try:
            until(lambda: listens(port), f"{command} listens", printed)
            yield printed
        finally:
            program.terminate()
            program.wait(PATIENCE)

    def words(self, command: str) -> list[str]:
        program, *arguments = shlex.split(self.local(command))
        return [sys.executable, *(["-m", "django"] if program == "django-admin" else []), *arguments]

    def local(self, text: str) -> str:
        ports = {"8025": self.mail, "8000": self.site}
        return re.sub(r"\b(?:8025|8000)\b", lambda found: str(ports[found[0]]), text)


def clean() -> dict[str, str]:
    """The environment of somebody who has never heard of these tests."""
    ours = ("COMMUNIQUE_", "DJANGO_", "PYTEST_", "PYTHON")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith(ours) or name.lower().endswith("_proxy"))
    }
    if not any(one.value == "communique.testing.plugin" for one in entry_points(group="pytest11")):
        environment |= {"PYTHONPATH": str(SOURCES.parent), "PYTEST_ADDOPTS": "-p communique.testing.plugin"}
    return environment | {"PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], what: str, printed: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"it did not come to pass that {what}\n{printed.read_text()}"
        time.sleep(0.05)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, free_port(), free_port())


def test_the_tutorial_works_as_written(project: Project) -> None:
    programs: dict[str, str] = {}
    for block in blocks(TUTORIAL):
        if block.file:
            project.write(block)
        for command in re.findall(r"^\$ (.+)$", block.text, re.MULTILINE):
            match command.split():
                case _ if command.startswith(DONE):
                    pass
                case ["python", "-m", "aiosmtpd", *_] | ["python", "manage.py", "runserver"]:
                    programs[command.split()[2]] = command
                case ["python", "manage.py", "createsuperuser"]:
                    who = {"USERNAME": "ada", "EMAIL": ADDRESS, "PASSWORD": "nine-tall-ships"}
                    answers = {f"DJANGO_SUPERUSER_{name}": value for name, value in who.items()}
                    project.run(f"{command} --noinput", **answers)
                case ["python", "manage.py", "communique_worker", *_]:
                    see_it_arrive(project, command, **programs)
                case ["python", "-m", "pytest"]:
                    assert "2 passed" in project.run(command)
                case _:
                    project.run(command)


def see_it_arrive(project: Project, worker: str, *, aiosmtpd: str, runserver: str) -> None:
    with project.started(f"{runserver} --noreload 8000", project.site):
        ada = Visitor(f"http://127.0.0.1:{project.site}")
        with project.started(aiosmtpd, project.mail) as mails:
            ada.get("/order/")
            ada.post("", username="ada", password="nine-tall-ships", next="/order/")
            assert "Your order has the number 1" in ada.post("/order/")
            assert "waiting" in ada.get("/admin/communique/eventrecord/")
            assert ADDRESS not in mails.read_text()

            project.run(worker)
            until(lambda: "END MESSAGE" in mails.read_text(), "the receipt is printed", mails)
            assert f"To: ada <{ADDRESS}>" in mails.read_text()
            assert "Subject: Order 1: thank you" in mails.read_text()
            assert "we have your order 1 over 28.50." in mails.read_text()
            assert "A provider accepted it." in latest_story(ada)
        ada.get("/order/")
        ada.post("/order/")
        project.run(worker)
        assert "temporary failure" in latest_story(ada)
        assert "Next try at" in ada.page


def latest_story(visitor: Visitor) -> str:
    assert ADDRESS in visitor.get("/admin/communique/communication/")
    return visitor.get(visitor.links(r"/admin/communique/communication/\d+/change/")[0])


def test_the_how_to_guides_work_in_the_project_of_the_tutorial(project: Project) -> None:
    for command in ("django-admin startproject mysite .", "python manage.py startapp shop"):
        project.run(command)
    for page in [TUTORIAL, *sorted((DOCS / "how-to").glob("*.md"), key=place)]:
        for block in blocks(page):
            if block.file:
                project.write(block)
    project.run("python manage.py makemigrations shop")
    project.run("python manage.py check")
    told = project.run("python -m pytest -q")
    assert " passed" in told
    assert "skipped" not in told


def place(page: Path) -> int:
    """Guides build on those before them in the index."""
    return (DOCS / "how-to" / "index.md").read_text().find(f"\n{page.stem}\n")


def test_the_readme_shows_the_same_files_as_the_tutorial() -> None:
    told = files(TUTORIAL)
    shown = files(ROOT / "README.md")
    assert {"shop/events.py", "shop/communications.py", "shop/views.py", "shop/test_receipt.py"} <= shown.keys()
    for file, text in shown.items():
        rest = iter(told[file].splitlines())
        assert [line for line in text.splitlines() if line not in rest] == [], file


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_relative_links_lead_somewhere(page: str) -> None:
    targets = LINK.findall((ROOT / page).read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []


def modules_with_examples() -> list[str]:
    paths = sorted(path for path in SOURCES.rglob("*.py") if ">>>" in path.read_text())
    places = (path.relative_to(SOURCES.parent).with_suffix("").parts for path in paths)
    return [".".join(parts).removesuffix(".__init__") for parts in places]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_the_code_are_true(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.failed == 0


def rows(page: str, first: str) -> list[list[str]]:
    """The rows of all tables of a reference page whose first column has this heading."""
    found: list[list[str]] = []
    inside = False
    for line in (DOCS / "reference" / page).read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and set(cells[0]) != {"-"}:
            found.append(cells)
    return found


def options_of(command: BaseCommand) -> dict[str, Any]:
    actions = command.create_parser("manage.py", "communique_worker")._actions
    return {one.option_strings[-1]: one.default for one in actions if one.option_strings}


def code(cell: str) -> str:
    return cell.strip("`")


class TestReference:
    def test_settings(self) -> None:
        defaults = {code(key): ast.literal_eval(code(default)) for key, _, default, _ in rows("settings.md", "key")}
        assert defaults == dict(conf.DEFAULTS)

    def test_options_of_the_email_backend(self) -> None:
        options = {code(name): ast.literal_eval(code(default)) for name, default, _ in rows("settings.md", "option")}
        parameters = list(inspect.signature(DjangoMailBackend).parameters.values())
        assert options == {one.name: one.default for one in parameters}

    def test_options_of_messages(self) -> None:
        table = {code(name): default for name, _, default, _ in rows("messages.md", "option")}
        assert table.keys() == set(vars(Message)["__annotations__"]) | {"key", "abstract"}
        for name in table.keys() - {"key", "abstract"}:
            assert ast.literal_eval(code(table[name])) == getattr(Message, name), name

    def test_names_that_messages_keep_for_later(self) -> None:
        page = (DOCS / "reference" / "messages.md").read_text()
        assert [name for name in messages._LATER if f"`{name}`" not in page] == []

    def test_templates(self) -> None:
        needed, optional = rendering.TEMPLATES["email"]
        table = {code(name): need for name, need, _ in rows("messages.md", "file")}
        assert table == dict.fromkeys(needed, "yes") | dict.fromkeys(optional, "no")

    def test_checks(self) -> None:
        source = "".join(path.read_text() for path in (SOURCES / "checks").glob("*.py"))
        ids = set(re.findall(r"communique\.[EW]\d{3}", source))
        assert [code(row[0]) for row in rows("checks.md", "id")] == sorted(ids)

    def test_states_verdicts_and_stages(self) -> None:
        assert [code(row[0]) for row in rows("states.md", "state")] == State.values
        assert [code(row[0]) for row in rows("states.md", "verdict")] == Verdict.values
        assert [code(row[0]) for row in rows("states.md", "stage")] == Stage.values

    def test_moves(self) -> None:
        table: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for function, before, after, _ in rows("states.md", "function"):
            table[code(function)].add((code(before), code(after)))
        assert table == {function: {(str(a), str(b)) for a, b in moves} for function, moves in MOVES.items()}

    def test_verdicts_follow_from_states(self) -> None:
        table = {
            code(verdict): set(re.findall(r"`(\w+)`", states)) for verdict, _, states in rows("states.md", "verdict")
        }
        assert table == {verdict: {str(one) for one in VERDICT_OF if VERDICT_OF[one] == verdict} for verdict in Verdict}

    def test_reasons(self) -> None:
        table = {code(row[0]): row[1] for row in rows("reasons.md", "code")}
        assert table == {reason.value: str(reason.label) for reason in Reason}

    def test_outcomes_and_the_reasons_they_leave(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        history = History(tries=1, unknowns=0, since=now)
        policy = Policy(delays=[60], horizon=timedelta(hours=72))
        decided = {one.__name__: decide(one(), history, policy, now=now, jitter=0.0) for one in KINDS.values()}
        table = {code(row[0]): code(row[3]) for row in rows("outcomes.md", "outcome")}
        assert table == {name: decision.reason.value for name, decision in decided.items()}

    def test_options_of_the_worker(self) -> None:
        table = {code(option).split()[0]: code(default) for option, default, _ in rows("commands.md", "option")}
        defaults = options_of(Command())
        assert table.keys() == defaults.keys() - options_of(BaseCommand()).keys()
        assert {name: table[name] for name in table if defaults[name]} == {"--processes": "1", "--threads": "8"}

    def test_the_testing_kit(self) -> None:
        public = {name for name in vars(Kit) if not name.startswith("_")}
        assert {code(row[0]).partition("(")[0] for row in rows("testing.md", "name")} == public
