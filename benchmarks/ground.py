"""What every benchmark stands on: a database of its own, orders to write about, the environment of what it starts."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATABASE = f"bench_communique_{os.getpid()}"
TOWNS = ("Harbour Town", "Hill & Dale", "Old Quay", "St. Mary's")
WARES = ("Morning roast, whole beans", "Night shift, ground", "Filter papers No. 4", "Oat drink <barista>", "Mug, blue")

# What is installed (or named by PYTHONPATH) comes before the sources beside this directory.
sys.path.append(str(HERE.parent / "src"))


def environ(**more: str) -> dict[str, str]:
    """For processes that are to measure the same code in the same host project."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"} | more


def setup() -> None:
    """Make the host project this process's Django project."""
    os.environ |= {"BENCH_DATABASE": DATABASE, "DJANGO_SETTINGS_MODULE": "host.settings"}
    import django

    django.setup()


@contextmanager
def database(messages: int) -> Iterator[None]:
    """A database with all tables and as many orders, dropped at the end."""
    setup()
    from django.core.management import call_command
    from django.db import connections

    try:
        _administer(f'CREATE DATABASE "{DATABASE}"')
        call_command("migrate", verbosity=0)
        call_command("migrate", run_syncdb=True, verbosity=0)  # the host's tables refer to users
        fill(messages)
        yield
    finally:
        connections.close_all()
        _administer(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')


def _administer(statement: str) -> None:
    from django.db import connection

    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


def fill(messages: int) -> None:
    """Users, each with one order of five lines."""
    from django.contrib.auth.models import User
    from host.models import Line, Order

    users = User.objects.bulk_create(
        User(username=f"user{n}", first_name=f"Ada {n}", email=f"ada{n}@customer.example") for n in range(messages)
    )
    orders = Order.objects.bulk_create(
        Order(
            customer=user,
            number=f"A-{n:06}",
            street=f"Rope Walk {n}",
            town=TOWNS[n % len(TOWNS)],
            note="Please ring twice, the bell is soft." if n % 2 else "",
            total="61.40",
        )
        for n, user in enumerate(users)
    )
    Line.objects.bulk_create(
        Line(order=order, name=name, quantity=n % 3 + 1, price="12.28")
        for order in orders
        for n, name in enumerate(WARES)
    )


def rest() -> None:
    """Let the database finish what earlier work left it, so that it does not do so while something is measured."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


@contextmanager
def scratch_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="communique-bench-") as folder:
        yield Path(folder) / "report.json"
