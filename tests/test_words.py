"""Events and messages: keys, subscriptions, signals, options, and what a call hands to the layers above."""

import asyncio
import inspect
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.signals import user_logged_in
from django.db import IntegrityError
from django.db.models import Prefetch
from django.dispatch import Signal

from communique import Event, Message, Recipient, apublish, events, from_signal, messages, publish, subscribe
from communique.exceptions import NotReady, UnknownKey
from communique.payloads import prepare
from communique.registries import Registry
from shop import examples
from shop.communications import OrderReceipt
from shop.events import OrderPaid, OrderPlaced
from shop.models import Customer, Order, OrderLine, Product


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What a test defines is forgotten after it."""
    with events.isolated(), messages.isolated():
        yield


class Calls(list[SimpleNamespace]):
    """Stands where publishing stands, and notes what it is asked for."""

    handle: Any = object()

    def publish(self, event: Event, **options: Any) -> Any:
        self.append(SimpleNamespace(event=event, **options))
        return self.handle

    def send(self, message: Message, **options: Any) -> Any:
        self.append(SimpleNamespace(message=message, **options))
        return self.handle


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(events, "_publisher", calls)
    return calls


def saved(order: Order) -> Order:
    order._state.adding = False
    return order


def placed() -> OrderPlaced:
    return OrderPlaced(order=saved(examples.order()), total=Decimal("40.30"))


# Keys


def test_an_event_is_found_by_its_key() -> None:
    class Happened(Event):
        key = "tests.happened"

    assert events.get("tests.happened") is events.known()["tests.happened"] is Happened


def test_a_message_is_found_by_its_key() -> None:
    class Notice(Message):
        key = "tests.notice"

    assert messages.get("tests.notice") is messages.known()["tests.notice"] is Notice


@pytest.mark.parametrize("registry", [events, messages])
def test_a_key_that_nobody_defined_is_unknown(registry: Any) -> None:
    with pytest.raises(UnknownKey, match=r"'tests\.nothing'"):
        registry.get("tests.nothing")


@pytest.mark.parametrize("base", [Event, Message])
@pytest.mark.parametrize("key", ["happened", "Tests.happened", "tests.", ".x", "a.b.c", "a b.c", "a." + 99 * "x", 5])
def test_a_malformed_key_is_refused_with_an_example(base: type, key: object) -> None:
    with pytest.raises(TypeError, match=r"a key is written `app.name`.*'shop.order_placed'"):
        type("Happened", (base,), {"key": key})


@pytest.mark.parametrize(("base", "registry"), [(Event, events), (Message, messages)])
def test_two_classes_with_one_key_are_remembered_and_the_first_counts(base: Any, registry: Any) -> None:
    first = type("First", (base,), {"key": "tests.twice"})
    second = type("Second", (base,), {"key": "tests.twice"})
    assert registry.duplicates() == {"tests.twice": (first, second)}
    assert registry.get("tests.twice") is first


@pytest.mark.parametrize(("base", "registry"), [(Event, events), (Message, messages)])
def test_a_class_defined_again_replaces_itself(base: Any, registry: Any) -> None:
    for _ in range(2):
        again = type("Again", (base,), {"key": "tests.again"})
    assert registry.get("tests.again") is again
    assert registry.duplicates() == {}


@pytest.mark.parametrize(("base", "registry"), [(Event, events), (Message, messages)])
def test_a_class_without_a_key_of_its_own_is_remembered_unless_it_is_abstract(base: Any, registry: Any) -> None:
    abstract = type("Abstract", (base,), {"abstract": True})
    concrete = type("Concrete", (abstract,), {"key": "tests.concrete"})
    nameless = type("Nameless", (concrete,), {})
    assert registry.keyless() == (nameless,)
    assert abstract not in registry.known().values()


def test_isolation_forgets_only_what_was_defined_inside() -> None:
    registry: Registry[type] = Registry("thing")
    registry.add("tests.one", int, int)
    with registry.isolated():
        registry.add("tests.one", str, str)
        registry.add("tests.two", str, str)
        registry.add("", float, float)
    assert registry.known() == {"tests.one": int}
    assert not registry.duplicates()
    assert not registry.keyless()


def test_everything_the_shop_defines_is_sound() -> None:
    for registry in (events, messages):
        for payload in registry.known().values():
            prepare(payload)
        assert not registry.duplicates()
        assert not registry.keyless()


# Subscriptions


def test_a_function_hears_of_a_class_and_of_its_subclasses() -> None:
    class Happened(Event):
        key = "tests.happened"

    class HappenedAgain(Happened):
        key = "tests.happened_again"

    @subscribe(Happened, key="tests.count")
    def count(event: Happened) -> None: ...

    (subscription,) = events.subscriptions_to(HappenedAgain)
    assert subscription == events.subscription("tests.count")
    assert (subscription.function, subscription.events, subscription.inline) == (count, (Happened,), False)
    assert events.subscriptions_to(Happened) == (subscription,)
    assert subscription not in events.subscriptions_to(OrderPaid)


def test_a_function_may_hear_of_several_classes() -> None:
    @subscribe((OrderPlaced, OrderPaid), key="tests.count", inline=True)
    def count(event: OrderPlaced | OrderPaid) -> None: ...

    subscription = events.subscription("tests.count")
    assert subscription.inline
    assert subscription in events.subscriptions_to(OrderPlaced)
    assert subscription in events.subscriptions_to(OrderPaid)


def test_two_functions_with_one_key_are_remembered() -> None:
    @subscribe(OrderPlaced, key="tests.count")
    def count(event: OrderPlaced) -> None: ...

    @subscribe(OrderPlaced, key="tests.count")
    def recount(event: OrderPlaced) -> None: ...

    (both,) = events.duplicate_subscriptions().values()
    assert [one.function for one in both] == [count, recount]


def test_an_unknown_subscription_is_unknown() -> None:
    with pytest.raises(UnknownKey, match="subscription"):
        events.subscription("tests.nothing")


@pytest.mark.parametrize("wrong", [Order, "shop.order_placed", OrderReceipt, (OrderPlaced, Order), None])
def test_only_events_can_be_subscribed_to(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"subscribe\(.*'tests.count'\): must be a subclass of Event"):
        subscribe(wrong, key="tests.count")


def test_a_subscription_needs_a_well_formed_key() -> None:
    with pytest.raises(TypeError, match=r"a key is written `app.name`"):
        subscribe(OrderPlaced, key="")


def test_an_async_function_is_refused_since_nobody_would_await_it() -> None:
    async def count(event: OrderPlaced) -> None: ...

    with pytest.raises(TypeError, match="async_to_sync"):
        subscribe(OrderPlaced, key="tests.count")(count)  # type: ignore[arg-type]


# Publishing


def test_publish_hands_the_event_on_and_returns_the_handle(calls: Calls) -> None:
    event = placed()
    assert publish(event, dedupe="once", using="other") is calls.handle
    assert calls == [SimpleNamespace(event=event, dedupe="once", using="other")]


def test_apublish_does_the_same(calls: Calls) -> None:
    event = placed()
    assert asyncio.run(apublish(event)) is calls.handle
    assert calls == [SimpleNamespace(event=event, dedupe=None, using=None)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (OrderPlaced, "not the class OrderPlaced"),
        (examples.order, "not a function"),
        ("shop.order_placed", "not a str"),
        (
            OrderReceipt(order=examples.order(), total=Decimal(1)),
            r"not a OrderReceipt; .*\.send\(\)",
        ),
    ],
)
def test_only_an_event_can_be_published(calls: Calls, wrong: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        publish(wrong)
    assert not calls


def test_an_event_without_key_cannot_be_published(calls: Calls) -> None:
    class Nameless(OrderPaid): ...

    class Abstract(OrderPaid):
        abstract = True

    for event, complaint in ((Nameless, 'Nameless has no key: write `key = "app.name"`'), (Abstract, "is abstract")):
        with pytest.raises(TypeError, match=complaint):
            publish(event(order=examples.order()))
    assert not calls


def test_before_the_app_is_ready_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_publisher", None)
    with pytest.raises(NotReady, match="add 'communique' to INSTALLED_APPS"):
        publish(placed())
    with pytest.raises(RuntimeError):
        OrderReceipt.from_event(placed()).send()


# Signals


class LoggedIn(Event):
    abstract = True

    customer: Customer


def test_a_signal_becomes_an_event(calls: Calls) -> None:
    class Arrived(LoggedIn):
        key = "tests.arrived"

    signal, customer = Signal(), examples.customer()
    from_signal(signal, Arrived, lambda sender, user, **_: {"customer": user})
    signal.send(sender=Customer, user=customer, request=None)
    assert [call.event for call in calls] == [Arrived(customer=customer)]


def test_a_signal_that_concerns_nobody_publishes_nothing(calls: Calls) -> None:
    class Arrived(LoggedIn):
        key = "tests.arrived"

    signal = Signal()
    from_signal(signal, Arrived, lambda sender, **_: None)
    signal.send(sender=Customer)
    assert not calls


@pytest.mark.parametrize("fields", [{}, {"customer": "ada@customers.example"}, 1 / Decimal(3)])
def test_an_event_that_cannot_be_built_is_logged_without_values_and_disturbs_nobody(
    calls: Calls, caplog: pytest.LogCaptureFixture, fields: Any
) -> None:
    class Arrived(LoggedIn):
        key = "tests.arrived"

    signal = Signal()
    from_signal(signal, Arrived, lambda sender, **_: fields)
    with caplog.at_level(logging.ERROR, "communique"):
        signal.send(sender=Customer)
    assert not calls
    assert "no tests.arrived was published for a signal: TypeError at" in caplog.text
    assert "ada@customers.example" not in caplog.text


def test_a_query_that_failed_breaks_the_transaction_openly(calls: Calls) -> None:
    class Arrived(LoggedIn):
        key = "tests.arrived"

    def build(sender: object, **_: object) -> Any:
        raise IntegrityError

    signal = Signal()
    from_signal(signal, Arrived, build)
    with pytest.raises(IntegrityError):
        signal.send(sender=Customer)


def test_several_signals_and_builders_may_lead_to_one_event(calls: Calls) -> None:
    class Arrived(LoggedIn):
        key = "tests.arrived"

    def build(sender: object, **_: object) -> Any:
        return {"customer": examples.customer()}

    signal = Signal()
    from_signal(signal, Arrived, build)
    from_signal(signal, Arrived, build)
    from_signal(signal, Arrived, lambda sender, **_: build(sender))
    signal.send(sender=Customer)
    assert len(calls) == 2


def test_a_signal_needs_an_event_with_a_key() -> None:
    with pytest.raises(TypeError, match="LoggedIn is abstract"):
        from_signal(user_logged_in, LoggedIn, lambda **_: None)
    with pytest.raises(TypeError, match="must be a subclass of Event"):
        from_signal(user_logged_in, OrderReceipt, lambda **_: None)  # type: ignore[type-var]


# Options of a message


def test_a_message_with_a_key_only_has_defaults() -> None:
    class Notice(Message):
        key = "tests.notice"

    assert (Notice.on, Notice.topic, Notice.mandatory, Notice.route, Notice.priority) == (
        (),
        "",
        False,
        "email",
        "normal",
    )
    assert (Notice.expires, Notice.on_unknown, Notice.from_email) == (None, "resend", None)
    assert (Notice.reply_to, dict(Notice.headers), dict(Notice.load)) == ((), {}, {})


@pytest.mark.parametrize(
    ("option", "wrong", "fix"),
    [
        ("on", Order, "must be a subclass of Event, or a tuple"),
        ("on", (OrderPlaced, "shop.order_paid"), "must be a subclass of Event, or a tuple"),
        ("on", [OrderPlaced], "must be a subclass of Event, or a tuple"),
        ("topic", None, "the name of a topic"),
        ("mandatory", "yes", "True or False"),
        ("route", ("email", "sms"), "the name of a channel"),
        ("route", "", "the name of a channel"),
        ("priority", "high", '"urgent", "normal" or "low"'),
        ("expires", 3600, "a timedelta from the event"),
        ("on_unknown", "retry", '"resend" or "hold"'),
        ("from_email", ["a@b.example"], "a mail address, or None"),
        ("reply_to", "a@b.example", "a list or tuple of mail addresses"),
        ("reply_to", [None], "a list or tuple of mail addresses"),
        ("headers", {"X-Priority": 1}, "a dict of text"),
        ("headers", ["X-Priority: 1"], "a dict of text"),
        ("load", {"order": "customer"}, "a dict of lists or tuples"),
        ("load", ("order",), "a dict of lists or tuples"),
    ],
)
def test_an_impossible_option_is_refused_with_the_fix(option: str, wrong: Any, fix: str) -> None:
    with pytest.raises(TypeError, match=rf"Notice\.{option}: must be .*") as caught:
        type("Notice", (Message,), {option: wrong})
    assert fix in str(caught.value)


@pytest.mark.parametrize("option", ["on", "topic", "priority", "load", "recipients", "example", "send", "template_dir"])
def test_annotating_an_option_is_refused(option: str) -> None:
    with pytest.raises(TypeError, match=rf"Notice\.{option}: `{option}` belongs to Message and cannot be a field"):
        type("Notice", (Message,), {"__annotations__": {option: str}})


LATER = [
    "attachments",
    "deadline",
    "dedupe",
    "digest",
    "proof",
    "route_for",
    "sensitive",
    "still_wanted",
    "throttle",
    "url",
]


@pytest.mark.parametrize("option", LATER)
@pytest.mark.parametrize("how", ["set", "annotated", "both"])
def test_an_option_of_a_later_version_is_refused_instead_of_ignored(option: str, how: str) -> None:
    body: dict[str, Any] = {option: None} if how != "annotated" else {}
    body |= {"__annotations__": {option: str}} if how != "set" else {}
    with pytest.raises(TypeError, match=f"Notice: `{option}` .* not supported yet"):
        type("Notice", (Message,), body)


@pytest.mark.parametrize("name", ["links", "message", "recipient"])
def test_a_field_may_not_hide_what_templates_find(name: str) -> None:
    with pytest.raises(TypeError, match=f"`{name}` cannot be a field, templates find something else"):
        type("Notice", (Message,), {"__annotations__": {name: str}})


def test_load_names_fields() -> None:
    with pytest.raises(TypeError, match=r"Notice\.load: `ordre` is no field of Notice"):
        type("Notice", (Message,), {"key": "tests.notice", "load": {"ordre": ("customer",)}})


def test_templates_are_where_the_key_says() -> None:
    assert OrderReceipt.template_dir() == "shop/messages/order_receipt"


def test_a_message_without_example_says_so() -> None:
    class Notice(Message): ...

    with pytest.raises(NotImplementedError, match="Notice has no example"):
        Notice.example()


# Messages and events


def test_messages_are_found_by_event_and_by_what_it_inherits_from() -> None:
    class PlacedByPhone(OrderPlaced):
        key = "tests.placed_by_phone"

    class Notice(Message):
        key = "tests.notice"
        on = OrderPaid, PlacedByPhone

    assert OrderReceipt in messages.messages_on(OrderPlaced)
    assert {OrderReceipt, Notice} <= set(messages.messages_on(PlacedByPhone))
    assert Notice not in messages.messages_on(OrderPlaced)
    assert Notice in messages.messages_on(OrderPaid)


def test_fields_of_the_same_name_are_copied_from_the_event() -> None:
    event = placed()
    assert OrderReceipt.from_event(event) == OrderReceipt(order=event.order, total=event.total)


def test_fields_that_the_event_lacks_keep_their_default() -> None:
    class Notice(Message):
        key = "tests.notice"
        on = OrderPlaced
        order: Order
        text: str = "hello"

    assert Notice.from_event(placed()).text == "hello"


def test_a_field_that_the_event_cannot_give_is_told_at_once() -> None:
    body = {
        "key": "tests.notice",
        "on": (OrderPlaced, OrderPaid),
        "__annotations__": {"order": Order, "total": Decimal},
    }
    with pytest.raises(TypeError, match=r"Notice needs `total`, which OrderPaid does not have: .*from_event"):
        type("Notice", (Message,), body)


def test_a_message_that_builds_itself_needs_no_field_of_the_event() -> None:
    class Notice(Message):
        key = "tests.notice"
        on = OrderPlaced
        number: str

        @classmethod
        def from_event(cls, event: OrderPlaced) -> "Notice":
            return cls(number=event.order.number)

    assert Notice.from_event(placed()).number == "A-1001"


def test_an_event_it_was_not_made_for_is_told() -> None:
    with pytest.raises(TypeError, match="OrderReceipt needs `total`, which OrderPaid does not have"):
        OrderReceipt.from_event(OrderPaid(order=examples.order()))


# Sending


def test_send_hands_the_message_on_and_returns_the_handle(calls: Calls) -> None:
    message, at = OrderReceipt.from_event(placed()), datetime(2026, 3, 14, tzinfo=UTC)
    assert message.send(to="ada@customers.example", delay=timedelta(hours=1)) is calls.handle
    assert message.send(at=at, using="other") is calls.handle
    assert calls == [
        SimpleNamespace(message=message, to="ada@customers.example", delay=timedelta(hours=1), at=None, using=None),
        SimpleNamespace(message=message, to=None, delay=None, at=at, using="other"),
    ]


def test_asend_does_the_same(calls: Calls) -> None:
    to = Recipient(email="ada@customers.example")
    assert asyncio.run(OrderReceipt.from_event(placed()).asend(to=to)) is calls.handle
    assert calls[0].to == to


def test_async_variants_take_the_same_arguments() -> None:
    assert inspect.signature(Message.asend) == inspect.signature(Message.send)
    assert inspect.signature(apublish) == inspect.signature(publish)


def test_a_message_for_nobody_is_told_at_the_call(calls: Calls) -> None:
    class Notice(Message):
        key = "tests.notice"

    with pytest.raises(TypeError, match=r"Notice defines no recipients\(\): say send\(to=\.\.\.\)"):
        Notice().send()
    Notice().send(to="ada@customers.example")
    assert len(calls) == 1


def test_a_message_without_key_cannot_be_sent(calls: Calls) -> None:
    class Notice(OrderReceipt): ...

    with pytest.raises(TypeError, match="Notice has no key"):
        Notice.from_event(placed()).send(to="ada@customers.example")


# Prefetching


def order_with_lines(name: str) -> Order:
    order = Order.objects.create(customer=Customer.objects.create(username=name))
    for product in (Product.objects.create(name=name, price=1), Product.objects.create(name=name * 2, price=2)):
        OrderLine.objects.create(order=order, product=product, unit_price=1)
    return Order.objects.get(pk=order.pk)


@pytest.mark.django_db
def test_related_rows_are_prefetched_once_for_a_batch(django_assert_num_queries: Any) -> None:
    orders = [order_with_lines(name) for name in "abc"]
    receipts = [OrderReceipt(order=order, total=order.total) for order in [*orders, orders[0]]]
    with django_assert_num_queries(3):  # customers, lines, products
        messages.prefetch(receipts)
    with django_assert_num_queries(0):
        assert [receipt.order.customer.username for receipt in receipts] == ["a", "b", "c", "a"]
        assert {line.product.name for receipt in receipts for line in receipt.order.lines.all()} == {
            "a", "aa", "b", "bb", "c", "cc"
        }  # fmt: skip


@pytest.mark.django_db
def test_prefetching_passes_by_what_is_not_there(django_assert_num_queries: Any) -> None:
    class Notice(Message):
        key = "tests.notice"
        load = {"order": ("customer",), "more": [Prefetch("lines")], "about": ("orders",)}

        order: Order | None
        more: list[Order]
        about: Customer | Order | None = None

    order = order_with_lines("a")
    with django_assert_num_queries(1):
        messages.prefetch([Notice(order=None, more=[order]), Notice(order=None, more=[])])
    with django_assert_num_queries(0):
        assert len(order.lines.all()) == 2
        messages.prefetch([])


@pytest.mark.parametrize(
    "headers",
    [
        {"Bcc": "eve@shop.example"},
        {"X-Two\r\nBcc": "eve@shop.example"},
        {"X-A": "a\r\nBcc: eve@shop.example"},
        {"X A": "a"},
    ],
)
def test_headers_that_are_made_elsewhere_or_break_the_line_are_refused_at_the_class(headers):
    with messages.isolated(), pytest.raises(TypeError, match="headers"):
        type("Sneaky", (Message,), {"key": "tests.sneaky", "headers": headers, "__module__": __name__})
