"""Everything the shop does. Each verb changes its rows and publishes what happened in one transaction."""

import secrets
from collections.abc import Callable, Mapping

from django.db import transaction

from communique import publish
from shop.communications import PasswordReset
from shop.events import OrderPaid, OrderPlaced, OrderShipped
from shop.models import Customer, Order, OrderLine, Product

OrderAction = Callable[[Order], None]


class NotPossibleError(Exception):
    """The order is not in a state that allows this; the message is meant for the customer."""


@transaction.atomic
def place_order(customer: Customer, quantities: Mapping[Product, int]) -> Order:
    """Orders the products for the customer; raises NotPossibleError if nothing is chosen."""
    chosen = {product: quantity for product, quantity in quantities.items() if quantity > 0}
    if not chosen:
        raise NotPossibleError("Choose at least one bag of coffee first.")
    total = sum(product.price * quantity for product, quantity in chosen.items())
    order = Order.objects.create(customer=customer, total=total)
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product=product, quantity=quantity, unit_price=product.price)
        for product, quantity in chosen.items()
    )
    publish(OrderPlaced(order=order, total=order.total))
    return order


@transaction.atomic
def pay(order: Order) -> None:
    """Takes the payment; raises NotPossibleError unless the order waits for it."""
    _move(order, Order.Status.PLACED, Order.Status.PAID)
    publish(OrderPaid(order=order))


@transaction.atomic
def ship(order: Order) -> None:
    """Hands the parcel to the carrier; raises NotPossibleError unless the order is paid."""
    tracking = f"HC {secrets.randbelow(9000) + 1000} {secrets.randbelow(9000) + 1000}"
    _move(order, Order.Status.PAID, Order.Status.SHIPPED, tracking=tracking)
    publish(OrderShipped(order=order, tracking=tracking))


@transaction.atomic
def request_password_reset(email: str) -> None:
    """Sends every active account of this address its link; says nothing about whether there is one."""
    for customer in Customer.objects.filter(email__iexact=email, is_active=True):
        PasswordReset(customer=customer).send(to=customer)


def _move(order: Order, source: Order.Status, target: Order.Status, **changes: str) -> None:
    """Moves the order if it is still where we think it is, so that two clicks make one payment and one parcel."""
    if not Order.objects.filter(pk=order.pk, status=source).update(status=target, **changes):
        raise NotPossibleError(f"Order {order.number} is not {source.label.lower()} any more.")
    order.refresh_from_db()
