"""The request path: one row in the caller's transaction, and nothing else."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from communique import Handle, InvalidAddress, Recipient, apublish, events, publish, subscribe
from communique.exceptions import UnsavedInstance
from communique.models import Communication, Delivery, EventRecord
from shop.communications import NewSignIn, OrderReceipt, PasswordReset, PaymentReceived
from shop.events import OrderPaid, OrderPlaced
from shop.models import Order


def test_publishing_writes_one_row_and_asks_nothing(order, django_assert_num_queries):
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        publish(OrderPlaced(order=order, total=order.total))
    (only,) = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert only.startswith("INSERT INTO")


def test_sending_writes_one_row_and_asks_nothing(customer):
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        PasswordReset(customer=customer).send(to=customer)
    (only,) = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert only.startswith("INSERT INTO")


def test_the_stored_payload_carries_references_and_no_personal_data(order):
    publish(OrderPlaced(order=order, total=Decimal("28.50")))
    assert EventRecord.objects.get().payload == {"order": {"shop.order": order.pk}, "total": "28.50"}


def test_an_unsaved_instance_is_refused_at_the_call(customer, db):
    with pytest.raises(UnsavedInstance, match="order"):
        publish(OrderPlaced(order=Order(customer=customer), total=Decimal(1)))
    assert not EventRecord.objects.exists()


def test_the_same_dedupe_key_is_published_once(communique, order):
    event = OrderPlaced(order=order, total=order.total)
    first, second = publish(event, dedupe="order-1"), publish(event, dedupe="order-1")
    communique.run()
    assert first == second
    communique.assert_sent(OrderReceipt, times=1)


def test_another_event_may_use_the_same_dedupe_key(communique, order):
    publish(OrderPlaced(order=order, total=order.total), dedupe=order.number)
    publish(OrderPaid(order=order), dedupe=order.number)
    communique.run()
    communique.assert_sent(OrderReceipt)
    communique.assert_sent(PaymentReceived)


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_dedupe_key_that_no_row_holds_is_refused(order, key):
    with pytest.raises(ValueError, match="1 to 200"):
        publish(OrderPlaced(order=order, total=order.total), dedupe=key)


def test_a_malformed_literal_address_is_refused_at_the_call_without_repeating_it(customer):
    with pytest.raises(InvalidAddress) as caught:
        PasswordReset(customer=customer).send(to="nobody\r\nbcc: all@shop.example")
    assert "shop.example" not in str(caught.value)


def test_somebody_who_is_no_user_is_reached_by_value(communique, customer):
    PasswordReset(customer=customer).send(to=Recipient(email="grace@navy.example", name="Grace"))
    communique.run()
    communique.assert_sent(PasswordReset, to="grace@navy.example")
    assert Communication.objects.get().recipient == {"email": "grace@navy.example", "name": "Grace"}


def test_several_recipients_get_one_communication_each_and_no_one_two(communique, customer):
    PasswordReset(customer=customer).send(to=[customer, "grace@navy.example", customer])
    communique.run()
    assert len(communique.sent) == 2


def test_a_delayed_message_waits(communique, customer):
    PasswordReset(customer=customer).send(to=customer, delay=timedelta(minutes=30))
    communique.run()
    communique.assert_not_sent()
    communique.travel(minutes=31)
    communique.run()
    communique.assert_sent(PasswordReset)


def test_the_life_of_a_delayed_message_begins_when_it_is_due(communique, customer):
    PasswordReset(customer=customer).send(to=customer, at=timezone.now() + timedelta(hours=5))
    communique.travel(hours=5, minutes=1)
    communique.run()
    communique.assert_sent(PasswordReset)


def test_a_naive_time_and_two_times_are_refused(customer):
    with pytest.raises(ValueError, match="time zone"):
        PasswordReset(customer=customer).send(to=customer, at=timezone.now().replace(tzinfo=None))
    with pytest.raises(TypeError, match="not both"):
        PasswordReset(customer=customer).send(to=customer, at=timezone.now(), delay=timedelta(1))


class TestHandle:
    def test_it_names_the_communications_that_exist_by_now(self, communique, order):
        handle = publish(OrderPlaced(order=order, total=order.total))
        assert isinstance(handle, Handle)
        assert list(handle.communications()) == []
        communique.run()
        assert [one.message for one in handle.communications()] == ["shop.order_receipt"]

    def test_waiting_inside_a_transaction_is_refused(self, order):
        handle = publish(OrderPlaced(order=order, total=order.total))
        with pytest.raises(RuntimeError, match="after the commit"):
            handle.wait(timeout=1)

    @pytest.mark.django_db(transaction=True)
    def test_waiting_ends_with_the_verdicts_or_with_the_time(self, communique, order):
        handle = publish(OrderPlaced(order=order, total=order.total))
        with pytest.raises(TimeoutError, match="communique_worker"):
            handle.wait(timeout=0.1)
        communique.run()
        assert [one.verdict for one in handle.wait(timeout=5)] == ["reached"]

    def test_a_cancelled_event_is_never_expanded(self, communique, order):
        assert publish(OrderPlaced(order=order, total=order.total)).cancel() is True
        communique.run()
        communique.assert_not_sent()
        assert not Communication.objects.exists()

    def test_a_cancel_between_two_tries_stops_the_second(self, communique, order):
        from communique import Retry

        communique.answer("email", Retry("451"))
        handle = publish(OrderPlaced(order=order, total=order.total))
        communique.run()
        assert handle.cancel() is True
        communique.travel(days=1)
        communique.run()
        communique.assert_sent(times=1)
        assert Communication.objects.get().verdict == "cancelled"
        assert Delivery.objects.get().state == "cancelled"

    @pytest.mark.django_db(transaction=True)
    def test_recipients_that_could_not_be_found_yet_are_waited_for_and_can_be_cancelled(
        self, communique, order, monkeypatch
    ):
        monkeypatch.setattr(OrderReceipt, "recipients", lambda self: 1 / 0)
        handle = publish(OrderPlaced(order=order, total=order.total))
        communique.run()
        with pytest.raises(TimeoutError):
            handle.wait(timeout=0.1)
        assert handle.cancel() is True
        monkeypatch.undo()
        communique.travel(hours=1)
        communique.run()
        communique.assert_not_sent()

    def test_what_was_sent_cannot_be_cancelled(self, communique, order):
        handle = publish(OrderPlaced(order=order, total=order.total))
        communique.run()
        assert handle.cancel() is False


@pytest.mark.django_db(transaction=True)
class TestInlineSubscribers:
    def test_they_run_after_the_commit_and_harm_nobody(self, order):
        heard = []
        with events.isolated():

            @subscribe(OrderPlaced, key="tests.breaks", inline=True)
            def breaks(event):
                raise ValueError("no")

            @subscribe(OrderPlaced, key="tests.hears", inline=True)
            def hears(event):
                heard.append(event.order)

            with transaction.atomic():
                publish(OrderPlaced(order=order, total=order.total))
                assert heard == []
            assert heard == [order]

    def test_they_do_not_hear_twice_of_what_was_published_before(self, order):
        heard = []
        with events.isolated():
            subscribe(OrderPlaced, key="tests.hears", inline=True)(heard.append)
            for _ in range(2):
                publish(OrderPlaced(order=order, total=order.total), dedupe=order.number)
        assert len(heard) == 1

    def test_they_do_not_run_after_a_rollback(self, order):
        heard = []
        with events.isolated():
            subscribe(OrderPlaced, key="tests.hears", inline=True)(heard.append)
            with transaction.atomic():
                publish(OrderPlaced(order=order, total=order.total))
                transaction.set_rollback(True)
        assert heard == []


@pytest.mark.django_db(transaction=True)
class TestEngines:
    def test_the_immediate_engine_sends_after_the_commit(self, communique, order):
        from django.conf import settings

        with override_settings(COMMUNIQUE=settings.COMMUNIQUE | {"ENGINE": "immediate"}), transaction.atomic():
            publish(OrderPlaced(order=order, total=order.total))
            communique.assert_not_sent()
        communique.assert_sent(OrderReceipt)

    def test_the_worker_engine_leaves_it_to_the_worker(self, communique, order):
        publish(OrderPlaced(order=order, total=order.total))
        communique.assert_not_sent()


@pytest.mark.django_db(transaction=True)
def test_async_code_publishes_and_sends(communique, customer, order):
    async def both():
        await apublish(OrderPlaced(order=order, total=order.total))
        await PasswordReset(customer=customer).asend(to=customer)
        # They ran in a thread of asgiref's, whose connection would keep the test database from being dropped.
        await sync_to_async(connections.close_all)()

    asyncio.run(both())
    communique.run()
    communique.assert_sent(OrderReceipt)
    communique.assert_sent(PasswordReset)


@pytest.mark.django_db(transaction=True)
def test_a_signal_of_django_becomes_an_event(communique, client, customer):
    client.force_login(customer)
    communique.run()
    communique.assert_sent(NewSignIn, to=customer)
