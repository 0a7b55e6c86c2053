"""From deliveries to what a provider is given, and to what becomes of them."""

import logging
import threading
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from communique import Message, Misconfigured, Retry, Throttled, Unknown, messages, outbox, publish
from communique.backends import Backend, memory
from communique.engines.immediate import run_due
from communique.models import Attempt, Communication, Content, Delivery, Step
from communique.outcomes import Accepted
from communique.sending import Inline, Pool, Sender, recover_lost
from shop.communications import OrderReceipt, PasswordReset, PaymentReceived
from shop.events import OrderPaid, OrderPlaced
from shop.models import Customer


def place(order):
    return publish(OrderPlaced(order=order, total=order.total))


class TestRetries:
    def test_content_is_frozen_by_the_first_try(self, communique, order):
        communique.answer("email", Retry("451"))
        place(order)
        communique.run()
        Customer.objects.update(first_name="Augusta")
        communique.travel(minutes=2)
        communique.run()
        first, second = communique.sent
        assert first.content == second.content
        assert Content.objects.count() == 1

    def test_they_grow_apart(self, communique, order):
        communique.answer("email", *[Retry("451")] * 5)
        place(order)
        tried_at = []
        for minute in range(120):
            communique.run()
            if len(communique.sent) > len(tried_at):
                tried_at.append(minute)
            communique.travel(minutes=1)
        gaps = [later - earlier for earlier, later in pairwise(tried_at)]
        # One, five, fifteen and sixty minutes, each a little later, on a grid of minutes.
        assert len(gaps) == 4
        assert all(delay < gap <= delay * 1.1 + 1 for delay, gap in zip([1, 5, 15, 60], gaps, strict=True))

    def test_a_provider_that_asks_for_time_gets_it(self, communique, order):
        communique.answer("email", Throttled("429", after=timedelta(minutes=20)))
        place(order)
        communique.run()
        communique.travel(minutes=19)
        communique.run()
        communique.assert_sent(times=1)
        communique.travel(minutes=2)
        communique.run()
        communique.assert_sent(times=2)

    def test_they_end_after_three_days(self, communique, order, caplog):
        communique.answer("email", *[Retry("451")] * 100)
        place(order)
        for _ in range(90):
            communique.run()
            communique.travel(hours=1)
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.reason) == ("failed", "gave_up")
        assert 20 < delivery.tries < 40
        assert Communication.objects.get().verdict == "unreachable"
        assert "communique.alerts" in {record.name for record in caplog.records}

    def test_wrong_credentials_cost_the_message_nothing_but_time(self, communique, order):
        communique.answer("email", Misconfigured("535"))
        place(order)
        communique.run()
        assert Delivery.objects.get().reason == "misconfigured"
        communique.travel(minutes=2)
        communique.run()
        assert Delivery.objects.get().state == "sent"


class TestUnknownOutcomes:
    def test_they_are_held_where_a_duplicate_is_worse_than_a_loss(self, communique, order):
        communique.answer("email", Unknown("timeout"))
        publish(OrderPaid(order=order))
        communique.run()
        communique.travel(days=4)
        communique.run()
        communique.assert_sent(PaymentReceived, times=1)
        assert Delivery.objects.get().state == "unknown"
        assert Communication.objects.get().verdict == "pending"

    def test_a_provider_that_never_answers_is_not_asked_for_ever(self, communique, order):
        communique.answer("email", *[Unknown()] * 50)
        place(order)
        for _ in range(72):
            communique.run()
            communique.travel(hours=1)
        communique.assert_sent(OrderReceipt, times=5)
        assert Delivery.objects.get().state == "unknown"

    def test_a_backend_that_raises_is_one_and_is_shown_without_its_values(self, communique, order, caplog, monkeypatch):
        def explode(self, outgoing):
            raise RuntimeError(outgoing.address)

        monkeypatch.setattr(memory.MemoryBackend, "send", explode)
        place(order)
        communique.run()
        attempt = Attempt.objects.get()
        assert attempt.outcome == "unknown"
        assert attempt.detail.startswith("RuntimeError at ")
        assert order.customer.email not in attempt.detail + caplog.text

    def test_a_backend_that_returns_nothing_is_one_too(self, communique, order, monkeypatch):
        monkeypatch.setattr(memory.MemoryBackend, "send", lambda self, outgoing: None)
        place(order)
        communique.run()
        assert Attempt.objects.get().detail == "the backend returned a NoneType"


class TestEndings:
    def test_what_expired_before_its_turn_is_not_sent(self, communique, customer, caplog):
        PasswordReset(customer=customer).send(to=customer)
        communique.travel(minutes=61)
        communique.run()
        communique.assert_not_sent()
        assert Delivery.objects.get().state == "expired"
        assert Communication.objects.get().verdict == "expired"
        assert Step.objects.get().reason == "expired"
        assert "mandatory shop.password_reset did not reach its recipient" in caplog.text

    def test_what_expires_between_two_tries_ends_then_and_not_later(self, communique, customer):
        communique.answer("email", *[Retry("451")] * 9)
        PasswordReset(customer=customer).send(to=customer)
        for _ in range(13):
            communique.run()
            communique.travel(minutes=5)
        assert Delivery.objects.get().state == "expired"
        assert communique.run() == 0

    def test_a_user_who_was_deleted_is_not_written_to(self, communique, customer):
        PasswordReset(customer=customer).send(to=customer)
        from communique.expanding import expand_due

        expand_due("default")
        Customer.objects.all().delete()
        communique.run()
        communique.assert_not_sent()
        assert Delivery.objects.get().reason == "subject_deleted"
        assert Communication.objects.get().verdict == "unreachable"

    def test_a_cancel_that_the_claim_overtook_still_counts(self, communique, order):
        communique.answer("email", Retry("451"))
        place(order)
        communique.run()
        # As it is when the cancel came while the first try was at the provider.
        Communication.objects.update(verdict="cancelled")
        communique.travel(minutes=2)
        communique.run()
        communique.assert_sent(times=1)
        assert Delivery.objects.get().state == "cancelled"


class TestRenderingTrouble:
    def test_it_is_a_try_that_is_repeated_and_delays_nobody(self, communique, order, customer, monkeypatch):
        monkeypatch.setattr(OrderReceipt, "order_url", property(lambda self: 1 / 0), raising=False)
        place(order)
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        communique.assert_sent(PasswordReset)
        delivery = Delivery.objects.get(communication__message="shop.order_receipt")
        assert (delivery.state, delivery.reason, delivery.tries) == ("queued", "rendering_failed", 1)
        assert Step.objects.get().detail.startswith("ZeroDivisionError at ")

        monkeypatch.undo()
        communique.travel(minutes=2)
        communique.run()
        communique.assert_sent(OrderReceipt)
        # The first try never reached a backend: it is a step, and the first attempt has number 2.
        assert Attempt.objects.get(delivery=delivery).number == 2

    def test_a_message_of_the_next_release_waits_without_losing_a_try(self, communique, customer):
        with messages.isolated():

            class Later(Message):
                key = "tests.later"

            Later().send(to=customer)
            from communique.expanding import expand_due

            expand_due("default")
        communique.run()
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.reason, delivery.tries, delivery.starts) == ("queued", "unknown_key", 0, 0)


class TestOrder:
    def test_urgent_goes_first_and_then_the_oldest(self, communique, order, customer, monkeypatch):
        monkeypatch.setattr("communique.sending.sender.random.random", lambda: 0.5)
        place(order)
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        assert [one.message for one in communique.sent] == ["shop.password_reset", "shop.order_receipt"]

    def test_a_share_of_the_claims_begins_at_the_low_end(self, communique, order, customer, monkeypatch):
        monkeypatch.setattr("communique.sending.sender.random.random", lambda: 0.05)
        place(order)
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        assert [one.message for one in communique.sent] == ["shop.order_receipt", "shop.password_reset"]


def test_forty_deliveries_cost_no_query_each(communique, order):
    """Loading is bulk; what remains per turn is the one transaction that closes and opens."""

    def statements(mails: int) -> int:
        for _ in range(mails):
            place(order)
        from communique.expanding import expand_due

        while expand_due("default"):
            pass
        sender = Sender(using="default", executor=Wide())
        with CaptureQueriesContext(connection) as queries:
            while sender.turn():
                pass
        return len(queries)

    # SQLite takes so many parameters and no more: fewer rows than split an INSERT there.
    assert statements(2) == statements(40)


class Wide(Inline):
    """As many open attempts as anybody may ask for."""

    threads = 1000


class TestOneProcess:
    def test_open_attempts_never_exceed_the_threads(self, communique, order, monkeypatch):
        gate, inside, most = threading.Event(), set(), []

        class Gated(Backend):
            def send(self, outgoing):
                inside.add(outgoing.key)
                gate.wait(10)
                return Accepted()

        monkeypatch.setattr(memory.MemoryBackend, "send", Gated.send)
        for _ in range(10):
            place(order)
        from communique.expanding import expand_due

        expand_due("default")
        sender = Sender(using="default", executor=Pool(3))
        sender.turn()
        most.append(Attempt.objects.filter(outcome="").count())
        sender.turn()
        most.append(Attempt.objects.filter(outcome="").count())
        gate.set()
        while sender.turn() or sender.busy:
            most.append(Attempt.objects.filter(outcome="").count())
            sender.wait(0.05)
        sender.executor.close()
        assert max(most) == 3
        assert Delivery.objects.filter(state="sent").count() == 10

    def test_a_shutdown_gives_back_what_was_not_opened(self, communique, order):
        for _ in range(5):
            place(order)
        from communique.expanding import expand_due

        expand_due("default")
        sender = Sender(using="default", executor=Inline())
        sender.turn()
        assert Delivery.objects.filter(state="claimed").count() == 4
        sender.close_finished()
        sender.give_back()
        rows = sorted(Delivery.objects.values_list("state", "starts", "tries"))
        assert rows == [("queued", 0, 0)] * 4 + [("sent", 0, 1)]


class TestLostSenders:
    def claim(self, order):
        place(order)
        from communique import clock, conf
        from communique.expanding import expand_due

        expand_due("default")
        return outbox.claim("default", limit=9, now=clock.now("default"), lease=conf.lease(), priorities=[0, 1, 2])

    def test_a_claim_whose_sender_died_is_taken_over_after_the_lease(self, communique, order):
        self.claim(order)
        communique.run()
        communique.assert_not_sent()
        communique.travel(minutes=2)
        communique.run()
        communique.assert_sent(OrderReceipt, times=1)
        assert Step.objects.get().reason == "lease_lost"

    def test_three_claims_without_an_end_are_enough(self, communique, order, caplog):
        self.claim(order)
        Delivery.objects.update(starts=4)
        communique.travel(minutes=2)
        communique.run()
        communique.assert_not_sent()
        assert Delivery.objects.get().state == "quarantined"
        assert Communication.objects.get().verdict == "unreachable"
        assert [record.levelno for record in caplog.records if "quarantined" in record.message] == [logging.ERROR]

    def test_openings_that_the_database_failed_to_take_are_left_to_their_lease(self, communique, order, monkeypatch):
        place(order)
        from communique.expanding import expand_due

        expand_due("default")
        sender = Sender(using="default", executor=Inline())

        def fail(*args, **kwargs):
            raise OperationalError("server closed the connection")

        with monkeypatch.context() as broken, pytest.raises(OperationalError):
            broken.setattr(outbox, "open", fail)
            sender.turn()
        assert sender.held() == {}
        communique.travel(minutes=2)
        communique.run()
        communique.assert_sent(OrderReceipt, times=1)

    def test_nothing_is_recovered_while_a_heartbeat_comes(self, communique, order):
        from communique import clock, conf

        [claim] = self.claim(order)
        for _ in range(4):
            communique.travel(seconds=40)
            outbox.renew("default", {claim.token: [claim.pk]}, now=clock.now("default"), lease=conf.lease())
            assert recover_lost("default") == 0
        assert Delivery.objects.get().state == "claimed"


@pytest.mark.django_db
def test_running_with_nothing_due_costs_a_handful_of_statements(communique):
    with CaptureQueriesContext(connection) as queries:
        assert run_due() == 0
    assert len(queries) < 25
