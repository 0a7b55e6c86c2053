"""A provider and workers for each test, and what must hold whatever went wrong."""

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .points import Fault
from .provider import Provider
from .rows import assert_all_explained
from .worker import Running, Surroundings, communique_worker, load_django_once

if TYPE_CHECKING:
    from shop.models import Order

# Long enough for a machine that is busy with other things, short enough to wait for.
LEASE = 4.0

Start = Callable[..., Running]
Orders = Callable[[int], "Sequence[Order]"]


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider(tmp_path) as provider:
        yield provider


@pytest.fixture
def start(transactional_db: None, provider: Provider, tmp_path: Path) -> Iterator[Start]:
    """Start a process; ``lease`` is that of its claims, and ``poll`` how long it sleeps when idle: all in seconds."""
    from django.db import connection

    load_django_once(connection.settings_dict["NAME"])
    running: list[Running] = []

    def start(
        target: Callable[..., None] = communique_worker,
        *args: object,
        fault: Fault | None = None,
        lease: float = LEASE,
        poll: float = 0.1,
        delays: Sequence[float] = (0.1,),
        timeout: float = 20,
        **options: object,
    ) -> Running:
        around = Surroundings(
            log=tmp_path / "worker.log",
            smtp={"host": "127.0.0.1", "port": provider.port, "timeout": timeout},
            options={"LEASE_SECONDS": lease, "POLL_SECONDS": poll, "RETRY_DELAYS": delays},
            fault=fault,
        )
        if target is communique_worker:
            args = ({"processes": 1, "threads": 1, **options},)
        started = Running(target, around, *args)
        running.append(started)
        return started

    yield start
    for one in running:
        one.kill()
    assert_all_explained(provider)


@pytest.fixture
def logged(tmp_path: Path) -> Callable[[], str]:
    """What the workers logged by now."""
    return (tmp_path / "worker.log").read_text


@pytest.fixture
def orders(transactional_db: None) -> Orders:
    """Make so many orders, each of a customer of its own."""
    from shop.models import Customer, Order

    numbers = count(1)

    def make(many: int) -> "Sequence[Order]":
        mine = [next(numbers) for _ in range(many)]
        people = [Customer(username=f"c{n}", email=f"c{n}@shop.example", first_name=f"C{n}") for n in mine]
        Customer.objects.bulk_create(people)
        customers = Customer.objects.in_bulk([one.username for one in people], field_name="username")
        numbered = [Order(number=f"F-{n}", customer=customers[f"c{n}"], total=n) for n in mine]
        Order.objects.bulk_create(numbered)
        made = Order.objects.select_related("customer").in_bulk([one.number for one in numbered], field_name="number")
        return [made[one.number] for one in numbered]

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the workers logged."""
    report = yield
    log = getattr(item, "funcargs", {}).get("tmp_path", Path()) / "worker.log"
    if report.failed and log.exists():
        report.sections.append(("worker.log, the end of it", log.read_text()[-6000:]))
    return report
