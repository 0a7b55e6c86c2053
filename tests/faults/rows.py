"""Questions about the rows, asked until the answer is the one that is waited for."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.db import transaction

from .provider import Provider

if TYPE_CHECKING:
    from communique.models import Delivery
    from shop.models import Order

# In seconds; waited in full only by a test that fails.
PATIENCE = 90.0
UNFINISHED = ("queued", "claimed", "sending")


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        time.sleep(0.05)


def drained() -> None:
    """Wait until nothing is left to be done."""
    until(lambda: not unfinished(), "nothing is left to be done")


def unfinished() -> bool:
    from communique.models import Delivery, EventRecord, Reaction

    undone = {"stage__in": ("waiting", "claimed")}
    return (
        EventRecord.objects.filter(**undone).exists()
        or Reaction.objects.filter(**undone).exists()
        or Delivery.objects.filter(state__in=UNFINISHED).exists()
    )


def ship(orders: "Iterable[Order]") -> None:
    """Publish what leads to mails that are sent again when nobody knows whether they were accepted."""
    from communique import publish
    from shop.events import OrderShipped

    with transaction.atomic():
        for order in orders:
            publish(OrderShipped(order=order, tracking="HC 1"))


def pay(orders: "Iterable[Order]") -> None:
    """Publish what leads to mails that are held when nobody knows whether they were accepted."""
    from communique import publish
    from shop.events import OrderPaid

    with transaction.atomic():
        for order in orders:
            publish(OrderPaid(order=order))


def delivery_of(order: "Order") -> "Delivery":
    from communique.models import Delivery

    return Delivery.objects.get(address=order.customer.email)


def outcomes(order: "Order") -> list[str]:
    """What the attempts for an order brought, in their order; empty while open."""
    return list(delivery_of(order).attempts.order_by("number").values_list("outcome", flat=True))


def lateness(order: "Order") -> list[tuple[str, bool]]:
    """The attempts for an order with what they brought, and whether that came late."""
    return list(delivery_of(order).attempts.order_by("number").values_list("outcome", "late"))


def steps(order: "Order") -> list[str]:
    """The reasons of all moves that no attempt caused."""
    return list(delivery_of(order).steps.order_by("pk").values_list("reason", flat=True))


def assert_all_explained(provider: Provider) -> None:
    """Every mail belongs to a delivery, and to an attempt that was accepted or that nobody knows the outcome of."""
    from communique.models import Attempt

    open_or_not_known = Attempt.objects.filter(outcome__in=("accepted", "unknown", ""))
    possible = Counter(map(str, open_or_not_known.values_list("delivery__uid", flat=True)))
    assert not Counter(entry.delivery for entry in provider.ledger()) - possible, "mails that no attempt explains"
