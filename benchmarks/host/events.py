"""What happens in the benchmark's shop."""

from decimal import Decimal

from communique import Event
from host.models import Order


class OrderPlaced(Event):
    """A customer placed an order."""

    key = "host.order_placed"

    order: Order
    total: Decimal
