"""What every test run knows: which database it is on, and which services it may ask."""

import functools
import os
from decimal import Decimal
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.services import SERVICES
from tests.settings import DATABASE

if TYPE_CHECKING:
    from shop.models import Customer, Order

EVERYTHING = bool(os.environ.get("COMMUNIQUE_TEST_ALL"))  # set by `./test --all`: a missing service is a failure

hypothesis.settings.register_profile("communique", deadline=None)  # shared machines stall: time proves nothing here
hypothesis.settings.load_profile("communique")

trouble = functools.cache(lambda name: SERVICES[name].trouble())


def pytest_report_header() -> str:
    return f"database: {DATABASE}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On every database but SQLite, leave out what the SQLite run has shown already."""
    if DATABASE == "sqlite":
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("once")])
    items[:] = [item for item in items if not item.get_closest_marker("once")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in ("postgresql", "mariadb"):
        if item.get_closest_marker(f"needs_{name}") and name != DATABASE:
            pytest.skip(f"a test of {name}, on {DATABASE}")
    for marker, name in (("needs_redis", "redis"), ("needs_rabbitmq", "rabbitmq"), ("browser", "chromium")):
        if item.get_closest_marker(marker) and (why := trouble(name)):
            (pytest.fail if EVERYTHING else pytest.skip)(f"no {name}: {why}")


@pytest.fixture
def customer(db: None) -> "Customer":
    from shop.models import Customer

    return Customer.objects.create_user(
        "ada", "ada@shop.example", "secret", first_name="Ada", last_name="Lovelace", timezone="Europe/London"
    )


@pytest.fixture
def order(customer: "Customer") -> "Order":
    """An order as the shop makes it: two lines, numbered, saved."""
    from shop.models import Order, OrderLine, Product

    beans = Product.objects.create(name="Beans & more", price=Decimal("9.50"))
    order = Order.objects.create(customer=customer, total=Decimal("28.50"))
    OrderLine.objects.create(order=order, product=beans, quantity=3, unit_price=beans.price)
    return order
