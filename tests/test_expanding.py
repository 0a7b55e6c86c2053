"""From events to communications: in bulk, and one that fails spoils no other."""

import logging

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from communique import Event, Message, Recipient, events, messages, publish, subscribe
from communique.expanding import expand_due
from communique.models import Communication, Delivery, EventRecord, Reaction
from shop.communications import OrderReceipt
from shop.events import OrderPaid, OrderPlaced
from shop.models import Customer, DailySales, Order


@pytest.fixture
def words():
    """Events and messages that a test defines are forgotten after it."""
    with events.isolated(), messages.isolated():
        yield


def test_a_recipient_without_an_address_makes_the_communication_unreachable(communique, order, caplog):
    Customer.objects.update(email="")
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    communication = Communication.objects.get()
    assert (communication.verdict, communication.reason) == ("unreachable", "no_address")
    assert communication.plan == {"legs": [], "skipped": [{"channel": "email", "reason": "no_address"}]}
    assert not Delivery.objects.exists()
    # It was mandatory: somebody is told, without an address or a name.
    assert [(r.name, r.levelno) for r in caplog.records if r.name == "communique.alerts"] == [
        ("communique.alerts", logging.ERROR)
    ]


def test_a_malformed_stored_address_is_a_reason_and_goes_nowhere(communique, order):
    Customer.objects.update(email="ada@shop.example\r\nbcc: all@shop.example")
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    assert Communication.objects.get().reason == "malformed_address"
    communique.assert_not_sent()


def test_a_row_that_was_deleted_ends_the_matter_with_that_reason(communique, order):
    publish(OrderPlaced(order=order, total=order.total))
    Order.objects.all().delete()
    communique.run()
    reaction = Reaction.objects.get(subscriber="shop.order_receipt")
    assert (reaction.stage, reaction.reason) == ("failed", "subject_deleted")
    assert EventRecord.objects.get().stage == "done"


def test_one_message_that_fails_is_tried_again_and_spoils_no_other(communique, order, words):
    class Moody(Message):
        key = "tests.moody"
        on = OrderPlaced
        fails = True
        order: Order

        def recipients(self):
            if Moody.fails:
                raise ValueError("ada@shop.example")
            return []

    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    communique.assert_sent(OrderReceipt)
    reaction = Reaction.objects.get(subscriber="tests.moody")
    assert (reaction.stage, reaction.reason, reaction.tries) == ("waiting", "expansion_failed", 1)
    assert "ValueError" in reaction.detail
    assert "ada@shop.example" not in reaction.detail

    Moody.fails = False
    communique.travel(minutes=2)
    communique.run()
    assert Reaction.objects.get(subscriber="tests.moody").stage == "done"
    communique.assert_sent(OrderReceipt, times=1)


def test_recipients_that_cannot_be_found_are_given_up_after_three_days(communique, order, words):
    class Hopeless(Message):
        key = "tests.hopeless"
        on = OrderPlaced
        order: Order

        def recipients(self):
            raise ValueError

    publish(OrderPlaced(order=order, total=order.total))
    for _ in range(80):
        communique.run()
        communique.travel(hours=3)
    reaction = Reaction.objects.get(subscriber="tests.hopeless")
    assert (reaction.stage, reaction.due_at) == ("failed", None)


def test_an_event_whose_key_nobody_knows_waits_for_a_sender_that_does(communique, order, words):
    with events.isolated():

        class FromTheFuture(Event):
            key = "tests.from_the_future"

        publish(FromTheFuture())
    communique.run()
    record = EventRecord.objects.get()
    assert (record.stage, record.starts) == ("waiting", 0)

    class FromThePresent(Event):
        key = "tests.from_the_future"

    communique.travel(minutes=1)
    communique.run()
    assert EventRecord.objects.get().stage == "done"


def test_a_message_of_the_next_release_waits_too(communique, customer, words):
    with messages.isolated():

        class Later(Message):
            key = "tests.later"

        Later().send(to=customer)
    communique.run()
    assert EventRecord.objects.get().stage == "waiting"


def test_an_event_without_subscribers_is_done(communique, words):
    class Unheard(Event):
        key = "tests.unheard"

    publish(Unheard())
    communique.run()
    assert EventRecord.objects.get().stage == "done"


def test_fifty_events_cost_the_same_statements_as_two(communique, order):
    def statements(events: int) -> int:
        for _ in range(events):
            publish(OrderPlaced(order=order, total=order.total))
        with CaptureQueriesContext(connection) as queries:
            expand_due("default")
        return len(queries)

    assert statements(2) == statements(50)


def test_an_expansion_whose_lease_was_lost_writes_nothing(communique, order, words):
    class Slow(Message):
        key = "tests.slow"
        on = OrderPaid
        order: Order

        def recipients(self):
            # Somebody else took the event over while we were looking for recipients.
            EventRecord.objects.update(lease_token=1)
            return Recipient(email="ada@shop.example")

    publish(OrderPaid(order=order))
    expand_due("default")
    assert not Communication.objects.exists()


def test_an_event_that_kills_its_senders_is_taken_out(communique, order, caplog):
    publish(OrderPlaced(order=order, total=order.total))
    EventRecord.objects.update(starts=4)
    communique.run()
    assert EventRecord.objects.get().stage == "quarantined"
    assert "three senders died" in caplog.text
    communique.assert_not_sent()


class TestHandlers:
    def test_they_run_out_of_band_and_once(self, communique, order):
        publish(OrderPlaced(order=order, total=order.total))
        assert not DailySales.objects.exists()
        communique.run()
        communique.run()
        assert DailySales.objects.get().orders == 1

    def test_one_that_raises_is_tried_again_alone(self, communique, order, words):
        calls = []

        @subscribe(OrderPlaced, key="tests.flaky")
        def flaky(event):
            calls.append(event.order)
            if len(calls) == 1:
                raise ConnectionError("no")

        publish(OrderPlaced(order=order, total=order.total))
        communique.run()
        assert DailySales.objects.get().orders == 1
        assert Reaction.objects.get(subscriber="tests.flaky").reason == "handler_failed"
        communique.travel(minutes=2)
        communique.run()
        assert len(calls) == 2
        assert Reaction.objects.get(subscriber="tests.flaky").stage == "done"
        assert DailySales.objects.get().orders == 1

    def test_one_that_this_release_does_not_know_waits(self, communique, order, words):
        with events.isolated():
            subscribe(OrderPlaced, key="tests.later")(lambda event: None)
            publish(OrderPlaced(order=order, total=order.total))
            expand_due("default")
        communique.run()
        reaction = Reaction.objects.get(subscriber="tests.later")
        assert (reaction.stage, reaction.reason) == ("waiting", "unknown_key")
