"""Where time comes from: the database's clock for due times and leases, a monotonic one for durations.

Worker machines disagree about the time; the database is the one clock that all of them share. Tests and the
demo travel by shifting what this module says, so nothing else needs to be patched.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import DateTimeField, Expression
from django.db.models.expressions import Combinable, CombinedExpression, Value
from django.db.models.functions import Now

monotonic = time.monotonic

_shift = timedelta()


def now(using: str) -> datetime:
    """Ask the database ``using`` for the time: one round trip, so once per batch, not per row."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_SELECT_NOW[connection.vendor])
        (value,) = cursor.fetchone()
    read: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)) + _shift


class _Now(Now):
    """MySQL's CURRENT_TIMESTAMP is in the session's time zone, and Django stores UTC."""

    def as_mysql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra_context)


def in_insert(after: timedelta = timedelta()) -> Expression:
    """The database's time as an expression, for a row that must cost its caller no second round trip."""
    shift = _shift + after
    if not shift:
        return _Now()
    return CombinedExpression(_Now(), Combinable.ADD, Value(shift), output_field=DateTimeField())


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Let everything inside see the database's time moved by ``by`` (negative: the past)."""
    travel(by)
    try:
        yield
    finally:
        travel(-by)


def travel(by: timedelta) -> None:
    """Move this process's view of the database's time by ``by``, on top of earlier travels."""
    global _shift
    _shift += by


# UTC_TIMESTAMP and SQLite's 'now' are UTC; PostgreSQL answers with a zone. Statement time, not transaction
# time: a sender inside a test's transaction must still see time pass.
_SELECT_NOW = {
    "postgresql": "SELECT STATEMENT_TIMESTAMP()",
    "sqlite": "SELECT STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')",
    "mysql": "SELECT UTC_TIMESTAMP(6)",
}
