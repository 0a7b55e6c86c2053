# pyright: standard
"""Wrong uses of events and messages: mypy and pyright must each refuse every line marked as wrong, and no other."""

from decimal import Decimal

from communique import Event, Message, publish, subscribe
from shop.events import OrderPaid, OrderPlaced
from shop.models import Customer, Order


class Refunded(Event):
    key = "typing.wrong_refunded"

    order: Order
    amount: Decimal
    note: str = ""


class Notice(Message):
    key = "typing.wrong_notice"

    order: Order


def events(order: Order, customer: Customer) -> None:
    Refunded(order=order)  # wrong: a field is missing
    Refunded(order=order, amount=Decimal(1), by="Ada")  # wrong: there is no such field
    Refunded(order=order, amount="1.00")  # wrong: text is no Decimal
    Refunded(order=order, amount=1.5)  # wrong: neither is a float
    Refunded(order=customer, amount=Decimal(1))  # wrong: another model
    Refunded(order=1, amount=Decimal(1))  # wrong: a primary key is no instance
    Refunded(order=None, amount=Decimal(1))  # wrong: not optional
    Refunded(order, Decimal(1))  # wrong: keywords only
    Refunded(order=order, amount=Decimal(1), key="x")  # wrong: an option is no field
    refunded = Refunded(order=order, amount=Decimal(1))
    refunded.amount = Decimal(2)  # wrong: frozen
    refunded.total.normalize()  # wrong: there is no such field


def publishing(order: Order) -> None:
    publish(OrderPaid)  # wrong: a class, no instance
    publish(Notice(order=order))  # wrong: a message is sent, not published
    publish("shop.order_paid")  # wrong: a key is no event
    publish(OrderPaid(order=order), dedupe=order)  # wrong: a dedupe key is a text


def messages(order: Order) -> None:
    Notice()  # wrong: a field is missing
    Notice(order=1)  # wrong: a primary key is no instance
    Notice(order=order, topic="orders")  # wrong: an option is no field
    Notice(order=order).send(to=5)  # wrong: nobody
    Notice(order=order).send(to=order)  # wrong: an order cannot be told anything
    Notice(order=order).send(delay=60)  # wrong: seconds of what
    Notice(order=order).send(at="tomorrow")  # wrong: no datetime
    Notice(order=order).send(order)  # wrong: keywords only


@subscribe(OrderPlaced, key="typing.wrong_event")  # wrong: the handler takes another event
def wants_paid(event: OrderPaid) -> None: ...


@subscribe((OrderPlaced, OrderPaid), key="typing.wrong_one_of_two")  # wrong: the handler takes one of two events
def wants_placed(event: OrderPlaced) -> None: ...


@subscribe(OrderPlaced, key="typing.wrong_async")  # wrong: nobody would await it
async def is_async(event: OrderPlaced) -> None: ...


@subscribe(Notice, key="typing.wrong_class")  # wrong: a message is no event
def wants_message(event: Notice) -> None: ...


subscribe(OrderPlaced)  # wrong: no key


class Options(Message):
    key = "typing.wrong_options"
    on = Notice  # wrong: a message is no event
    mandatory = "yes"  # wrong: no bool
    priority = "high"  # wrong: no such priority
    expires = 3600  # wrong: seconds of what
    on_unknown = "retry"  # wrong: no such policy
    from_email = 5  # wrong: no text
    headers = {"X-Campaign": 5}  # wrong: headers are text
    load = {"order": 5}  # wrong: no lookups

    order: Order

    def recipients(self) -> Order:  # wrong: an order cannot be told anything
        return self.order
