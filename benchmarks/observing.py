"""Inside a worker: how often each stage ran, how long it took on the processor and on the wall, and what it asked the
database. The figures of a stage leave out the stages inside it.

Timers cost some microseconds per call: compare stages with each other, not their sum with an unobserved drain.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from typing import Any

from django.db import connection as any_connection
from django.db.backends.signals import connection_created

# Names are replaced where they are looked up: "module:attribute" or "module:Class.attribute".
STAGES = {
    "expand": ["communique.engines.worker:expand_due"],
    "handle": ["communique.engines.worker:react_to_next"],
    "recover": ["communique.engines.worker:recover_lost"],
    "turn": ["communique.sending.sender:Sender.turn"],
    "claim": ["communique.outbox:claim"],
    "load": ["communique.sending.sender:prepare"],
    "render": ["communique.sending.sender:render"],
    "freeze": ["communique.content:freeze"],
    "decide": ["communique.sending.sender:closing"],
    "settle": ["communique.outbox:settle"],
    "open": ["communique.outbox:open"],
    "ask the time": ["communique.clock:now"],
    "attempt": ["communique.sending.executors:attempt"],
    "MIME": ["django.core.mail.message:EmailMessage.message", "django.core.mail.message:SafeMIMEMultipart.as_bytes"],
    "SMTP": ["smtplib:SMTP.connect", "smtplib:SMTP.sendmail"],
    "commit": ["django.db.backends.base.base:BaseDatabaseWrapper._commit"],
}


@dataclass(slots=True)
class Spent:
    """What one stage took in all, in seconds."""

    calls: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    database: float = 0.0
    statements: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Frame:
    stage: str
    cpu: float
    wall: float
    inner_cpu: float = 0.0
    inner_wall: float = 0.0


_mine = threading.local()
_of_threads: list[dict[str, Spent]] = []


def install() -> None:
    """Replace the functions of all stages by timed ones, and watch the statements of every connection to come."""
    for stage, places in STAGES.items():
        for place in places:
            _replace(stage, place)
    connection_created.connect(_watch, weak=False)
    any_connection.close()


def _replace(stage: str, place: str) -> None:
    module, _, path = place.partition(":")
    holder: Any = import_module(module)
    *classes, name = path.split(".")
    for cls in classes:
        holder = getattr(holder, cls)
    setattr(holder, name, timed(stage, getattr(holder, name)))


def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _entered(stage):
            return function(*args, **kwargs)

    return wrapper


@contextmanager
def _entered(stage: str) -> Any:
    stack, spent = _here()
    frame = _Frame(stage, time.thread_time(), time.perf_counter())
    stack.append(frame)
    try:
        yield
    finally:
        cpu, wall = time.thread_time() - frame.cpu, time.perf_counter() - frame.wall
        stack.pop()
        one = spent[stage]
        one.calls += 1
        one.cpu += cpu - frame.inner_cpu
        one.wall += wall - frame.inner_wall
        if stack:
            stack[-1].inner_cpu += cpu
            stack[-1].inner_wall += wall


def _here() -> tuple[list[_Frame], dict[str, Spent]]:
    if not hasattr(_mine, "stack"):
        _mine.stack, _mine.spent = [], defaultdict(Spent)
        _of_threads.append(_mine.spent)
    return _mine.stack, _mine.spent


def _watch(connection: Any, **kwargs: Any) -> None:
    stack, spent = _here()
    spent[stack[-1].stage if stack else "other"].statements["(connect)"] += 1
    if _count not in connection.execute_wrappers:  # they outlive a connection that is closed and opened again
        connection.execute_wrappers.append(_count)


def _count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    stack, spent = _here()
    stage = spent[stack[-1].stage if stack else "other"]
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        stage.database += time.perf_counter() - started
        stage.statements[_kind(sql)] += 1


def _kind(sql: str) -> str:
    """The verb and the first table: ``UPDATE communique_delivery``."""
    words = sql.replace('"', " ").replace("(", " ").split()
    tables = (word for word in words if "_" in word and word.islower() and "." not in word)
    return f"{words[0]} {next(tables, '')}".strip()


def report() -> dict[str, Any]:
    """Everything by stage, as JSON can hold it."""
    total: dict[str, Spent] = defaultdict(Spent)
    for spent in _of_threads:
        for stage, one in list(spent.items()):
            into = total[stage]
            into.calls += one.calls
            into.cpu += one.cpu
            into.wall += one.wall
            into.database += one.database
            into.statements += one.statements
    return {"stages": {stage: {name: getattr(one, name) for name in Spent.__slots__} for stage, one in total.items()}}
