# pyright: standard
"""Right uses of events and messages: mypy in strict mode and pyright must accept every line."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Literal, Self, assert_type
from uuid import UUID

from django.contrib.auth.signals import user_logged_in
from django.db.models import Prefetch

from communique import Event, Handle, Message, Recipient, apublish, from_signal, publish, subscribe
from shop.events import OrderPaid, OrderPlaced
from shop.models import Customer, Order, OrderLine, Product


class Reason(Enum):
    BROKEN = "broken"
    LATE = "late"


@dataclass(frozen=True)
class Refund:
    product: Product
    amount: Decimal


class OrderRefunded(Event):
    """Every type that a payload may hold."""

    key = "typing.order_refunded"

    order: Order
    refunds: list[Refund]
    reason: Reason
    by: Customer | Product | None = None
    how: Literal["card", "voucher"] = "card"
    uid: UUID | None = None
    on: date | None = None
    at: time | None = None
    since: timedelta = timedelta(0)
    note: str = ""
    notes: dict[str, str] = field(default_factory=dict)


class OrderReturned(OrderRefunded):
    """Fields are inherited, and a field may get a default later."""

    key = "typing.order_returned"

    reason: Reason = Reason.BROKEN
    parcels: tuple[int, ...] = ()


class SignedUp(Event):
    key = "typing.signed_up"

    customer: Customer


class RefundNotice(Message):
    """Every option that a message has."""

    key = "typing.refund_notice"
    on = OrderRefunded, OrderReturned
    topic = "orders"
    mandatory = True
    route = "email"
    priority = "urgent"
    expires = timedelta(days=1)
    on_unknown = "hold"
    from_email = "shop@shop.example"
    reply_to = ("help@shop.example",)
    headers = {"X-Campaign": "spring"}
    load = {"order": ("customer", Prefetch("lines", queryset=OrderLine.objects.select_related("product")))}

    order: Order
    reason: Reason = Reason.LATE

    def recipients(self) -> Customer:
        return self.order.customer

    @classmethod
    def from_event(cls, event: OrderRefunded) -> Self:
        return cls(order=event.order, reason=event.reason)

    @classmethod
    def example(cls) -> Self:
        return cls(order=Order())


class Welcome(Message):
    """Options left out, one recipient who is no user, and an example that names its class."""

    key = "typing.welcome"
    on = SignedUp

    customer: Customer

    def recipients(self) -> Recipient | None:
        return Recipient(email=self.customer.email) if self.customer.email else None

    @classmethod
    def example(cls) -> "Welcome":
        return cls(customer=Customer())


class Report(Message):
    abstract = True
    topic = "reports"

    day: date

    def recipients(self) -> Iterable[Customer | str]:
        return [*Customer.objects.all(), "boss@shop.example"]


class SalesReport(Report):
    key = "typing.sales_report"
    expires = None


@subscribe(OrderPlaced, key="typing.one")
def on_one(event: OrderPlaced) -> None:
    assert_type(event.order, Order)


@subscribe((OrderPlaced, OrderPaid), key="typing.two", inline=True)
def on_two(event: OrderPlaced | OrderPaid) -> None:
    assert_type(event.order, Order)


@subscribe((OrderPlaced, OrderPaid, OrderRefunded), key="typing.three")
def on_three(event: OrderPlaced | OrderPaid | OrderRefunded) -> None: ...


@subscribe((OrderPlaced, OrderPaid, OrderRefunded, SignedUp), key="typing.four")
def on_four(event: Event) -> None: ...


@subscribe(OrderReturned, key="typing.wider")
def on_any_refund(event: OrderRefunded) -> None: ...


def uses(order: Order, product: Product, customer: Customer) -> None:
    event = OrderRefunded(order=order, refunds=[Refund(product, Decimal(1))], reason=Reason.LATE)
    assert_type(event.by, Customer | Product | None)
    assert_type(publish(event), Handle)
    assert_type(publish(OrderPaid(order=order), dedupe="paid", using="default").uid, UUID)
    assert_type(Welcome(customer=customer).send(), Handle)
    assert_type(RefundNotice.from_event(event), RefundNotice)
    assert_type(Welcome.example(), Welcome)
    from_signal(user_logged_in, SignedUp, lambda sender, user, **_: {"customer": user})
    report = SalesReport(day=date(2026, 3, 14))
    report.send(to=customer, delay=timedelta(minutes=5))
    report.send(to="ada@shop.example", at=datetime(2026, 3, 14, 9, tzinfo=UTC), using="default")
    report.send(to=Recipient(email="ada@shop.example", language="de"))
    report.send(to=[customer, "ada@shop.example"])
    report.send(to=Customer.objects.filter(is_staff=True))


async def async_uses(order: Order, customer: Customer) -> None:
    assert_type(await apublish(OrderPaid(order=order)), Handle)
    assert_type(await Welcome(customer=customer).asend(to=customer), Handle)
