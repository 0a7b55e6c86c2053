"""Database connections that are cut under the workers: they get new ones, and no mail is lost or doubled."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from django.db import OperationalError, connection

from tests.settings import DATABASE

from .conftest import Orders, Start
from .provider import Provider, Script
from .rows import drained, ship, until

MAILS, CUTS = 300, 6


def cut_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def cut_mariadb() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
        for (number,) in cursor.fetchall():
            # It may have ended by itself.
            with suppress(OperationalError):
                cursor.execute("KILL %s", [number])


def has_sent(provider: Provider, mails: int) -> bool:
    return len(provider.ledger()) >= mails


CUT = {"postgresql": cut_postgresql, "mariadb": cut_mariadb}


@pytest.mark.skipif(DATABASE not in CUT, reason="a file has no connections to cut")
def test_workers_whose_connections_are_cut_go_on_with_new_ones(
    start: Start, orders: Orders, provider: Provider, logged: Callable[[], str]
) -> None:
    provider.follow(Script(seconds=0.05))
    start(processes=2, threads=4)
    ship(orders(MAILS))
    for sent in range(0, MAILS, MAILS // CUTS):
        until(partial(has_sent, provider, sent), f"{sent} mails are sent")
        CUT[DATABASE]()
    drained()
    times = Counter(entry.to for entry in provider.ledger())
    assert len(times) == MAILS
    assert set(times.values()) == {1}
    assert "died" not in logged()
