"""What the benchmark's shop tells its customers."""

from decimal import Decimal

from django.contrib.auth.models import User

from communique import Message
from host.events import OrderPlaced
from host.models import Order


class OrderReceipt(Message):
    """Receipt for a placed order: the one mail of all benchmarks."""

    key = "host.order_receipt"
    on = OrderPlaced
    topic = "orders"
    load = {"order": ("customer", "lines")}

    order: Order
    total: Decimal

    def recipients(self) -> User:
        return self.order.customer
