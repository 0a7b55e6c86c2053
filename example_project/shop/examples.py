"""A made-up customer and order for previews and tests of messages: whole, but never saved."""

from datetime import UTC, datetime
from decimal import Decimal

from shop.models import Customer, Order, OrderLine, Product


def customer() -> Customer:
    return Customer(pk=1, username="ada", first_name="Ada", last_name="Byron", email="ada@customers.example")


def order(status: str = Order.Status.PLACED) -> Order:
    """An order of two products with its lines in place."""
    made = Order(
        pk=1,
        customer=customer(),
        number="A-1001",
        status=status,
        total=Decimal("40.30"),
        placed_at=datetime(2026, 3, 14, 9, 26, tzinfo=UTC),
    )
    lines = [
        OrderLine(order=made, product=Product(name="Harbour Espresso"), quantity=2, unit_price=Decimal("13.90")),
        OrderLine(order=made, product=Product(name="Fog Signal Filter"), quantity=1, unit_price=Decimal("12.50")),
    ]
    # What `prefetch_related` would leave behind; Django has no public way to hang unsaved lines on an unsaved order.
    made._prefetched_objects_cache = {"lines": lines}  # type: ignore[attr-defined]
    return made
