"""The testing kit: what a host project's tests run, look at, and are told when they are wrong."""

import threading
from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from communique import Accepted, Recipient, Refused, Retry, Unknown, backends, clock, conf, publish
from communique.backends import memory
from communique.models import Attempt, Communication, Delivery
from communique.testing import Kit
from shop.communications import NewSignIn, OrderReceipt, PasswordReset
from shop.events import OrderPlaced


@pytest.fixture
def reset(communique, customer):
    """A password reset that has been sent."""
    PasswordReset(customer=customer).send(to=customer)
    communique.run()


def ahead() -> timedelta:
    """How far the database's time, as this process sees it, is ahead of this machine's, to the minute."""
    ahead = clock.now("default") - timezone.now()
    return timedelta(minutes=round(ahead / timedelta(minutes=1)))


class TestRun:
    def test_it_does_all_that_is_due_and_says_how_much_work_that_was(self, communique, order):
        publish(OrderPlaced(order=order, total=order.total))
        assert communique.run() > 0
        assert Communication.objects.get().verdict == "reached"
        assert communique.run() == 0

    def test_it_leaves_what_is_not_due(self, communique, customer):
        PasswordReset(customer=customer).send(to=customer, delay=timedelta(minutes=5))
        communique.run()
        assert communique.sent == []

    def test_it_brings_back_what_a_lost_sender_held(self, communique, reset):
        Delivery.objects.update(state="claimed", due_at=clock.now("default"), lease_token=1)
        communique.run()
        communique.assert_sent(PasswordReset, times=2)


class TestSent:
    def test_it_lists_what_backends_were_given_in_order(self, communique, customer):
        for address in ("a@shop.example", "b@shop.example"):
            PasswordReset(customer=customer).send(to=address)
            communique.run()
        first, second = communique.sent
        assert (first.address, second.address) == ("a@shop.example", "b@shop.example")
        assert first.message == PasswordReset.key
        assert first.channel == "email"
        assert first.key == str(Delivery.objects.order_by("pk")[0].uid)

    def test_it_includes_what_was_not_accepted(self, communique, customer):
        communique.answer("email", Refused("550"))
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        assert len(communique.sent) == 1

    @pytest.mark.parametrize("number", [1, 2])
    def test_it_is_empty_when_a_test_begins(self, communique, customer, number):
        assert communique.sent == []
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        assert len(communique.sent) == 1

    def test_it_is_empty_once_the_kit_is_gone(self, db, customer):
        with Kit.installed() as kit:
            PasswordReset(customer=customer).send(to=customer)
            kit.run()
        assert memory.sent == []


class TestAnswers:
    def test_they_are_given_in_order_and_then_all_is_accepted(self, communique, customer):
        communique.answer("email", Retry("451"), Unknown("?"))
        communique.answer("email", Retry("452"))
        PasswordReset(customer=customer).send(to=customer)
        for _ in range(4):
            communique.run()
            communique.travel(minutes=17)
        codes = Attempt.objects.order_by("number").values_list("outcome", "code")
        assert list(codes) == [("retry", "451"), ("unknown", "?"), ("retry", "452"), ("accepted", "250")]

    def test_they_hold_for_their_channel_only(self, communique, customer):
        communique.answer("sms", Refused("550"))
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        assert Communication.objects.get().verdict == "reached"

    def test_those_that_nobody_asked_for_are_forgotten_after_the_test(self, db, customer):
        with Kit.installed() as kit:
            kit.answer("email", Refused("550"))
        with Kit.installed() as kit:
            PasswordReset(customer=customer).send(to=customer)
            kit.run()
        assert Communication.objects.get().verdict == "reached"


class TestTravel:
    def test_travels_add_up(self, communique):
        before = ahead()
        communique.travel(hours=2, minutes=30)
        communique.travel(minutes=-30)
        assert ahead() - before == timedelta(hours=2)

    def test_what_was_not_due_becomes_due(self, communique, customer):
        PasswordReset(customer=customer).send(to=customer, delay=timedelta(minutes=5))
        communique.travel(minutes=5, seconds=1)
        communique.run()
        communique.assert_sent(PasswordReset)

    def test_what_may_be_sent_until_then_expires(self, communique, customer):
        PasswordReset(customer=customer).send(to=customer)
        communique.travel(hours=2)
        communique.run()
        communique.assert_not_sent()
        assert Communication.objects.get().verdict == "expired"

    def test_it_is_undone_after_the_test(self, db):
        before = ahead()
        with Kit.installed() as kit:
            kit.travel(days=3)
            kit.travel(hours=1)
        assert ahead() == before

    def test_it_is_undone_after_a_test_that_fails(self, db):
        before = ahead()
        with pytest.raises(AssertionError), Kit.installed() as kit:
            kit.travel(days=3)
            kit.assert_sent()
        assert ahead() == before


class TestInstalled:
    def test_every_channel_is_answered_from_memory_and_keeps_its_other_settings(self, db):
        pigeon = {"BACKENDS": {"loft": {"BACKEND": "pigeons.Backend"}}, "RATE": "1/h"}
        settings = {"CHANNELS": {"email": {}, "pigeon": pigeon}, "BASE_URL": "https://shop.example"}
        with override_settings(COMMUNIQUE=settings):
            with Kit.installed():
                assert isinstance(backends.backend("pigeon", "memory"), backends.MemoryBackend)
                assert backends.names("email") == backends.names("pigeon") == ["memory"]
                assert conf.channels()["pigeon"]["RATE"] == "1/h"
                assert conf.get("BASE_URL") == "https://shop.example"
            assert conf.channels()["pigeon"] == pigeon

    @pytest.mark.needs_postgresql
    @pytest.mark.django_db(transaction=True)
    def test_no_commit_starts_a_thread_that_holds_a_connection(self, communique, customer):
        PasswordReset(customer=customer).send(to=customer)
        assert "communique-bell" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("reset")
class TestAssertSent:
    def test_without_arguments_anything_will_do(self, communique):
        assert communique.assert_sent() == communique.sent[0]

    def test_it_returns_the_last_of_several(self, communique, customer):
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        assert communique.assert_sent(PasswordReset, times=2) == communique.sent[1]

    @pytest.mark.parametrize(
        "to", ["ada@shop.example", Recipient(email="ada@shop.example"), Recipient(email="ada@shop.example", phone="+1")]
    )
    def test_the_recipient_may_be_given_by_address(self, communique, to):
        communique.assert_sent(to=to)

    def test_the_recipient_may_be_a_user(self, communique, customer):
        communique.assert_sent(to=customer)

    def test_the_recipient_may_have_an_international_domain(self, communique, customer):
        customer.email = "ada@faß.example"
        customer.save()
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        communique.assert_sent(to=customer, times=1)
        communique.assert_sent(to="ada@faß.example", times=1)

    def test_a_user_without_an_address_was_sent_nothing(self, communique, django_user_model):
        nobody = django_user_model.objects.create_user("nobody")
        with pytest.raises(AssertionError, match="to nobody"):
            communique.assert_sent(to=nobody)
        communique.assert_not_sent(to=nobody)

    @pytest.mark.parametrize("part", ["subject", "text", "html"])
    def test_every_part_of_the_content_is_searched(self, communique, part):
        content = getattr(communique.sent[0].content, part)
        communique.assert_sent(contains=content[:20])

    def test_all_conditions_have_to_be_met_by_one(self, communique, customer):
        PasswordReset(customer=customer).send(to="grace@shop.example")
        communique.run()
        with pytest.raises(AssertionError):
            communique.assert_sent(OrderReceipt, to="grace@shop.example")
        with pytest.raises(AssertionError):
            communique.assert_sent(PasswordReset, to="grace@shop.example", channel="sms")
        communique.assert_sent(PasswordReset, to="grace@shop.example", channel="email", times=1)

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"message": OrderReceipt}, "expected something like OrderReceipt, found 0"),
            ({"message": PasswordReset, "times": 2}, "expected exactly 2 like PasswordReset, found 1"),
            ({"channel": "sms"}, "expected something like any message by sms, found 0"),
            ({"to": "grace@shop.example"}, "expected something like any message to grace@shop.example, found 0"),
            ({"to": Recipient(phone="+44 1")}, "expected something like any message to +44 1, found 0"),
            ({"contains": "A-1001"}, "expected something like any message containing 'A-1001', found 0"),
            (
                {"message": NewSignIn, "to": "b@shop.example", "channel": "email", "contains": "x", "times": 3},
                "expected exactly 3 like NewSignIn by email to b@shop.example containing 'x', found 0",
            ),
        ],
    )
    def test_an_error_says_what_was_expected_and_what_was_sent(self, communique, asked, said):
        with pytest.raises(AssertionError) as caught:
            communique.assert_sent(**asked)
        assert str(caught.value) == f"{said}; sent: shop.password_reset by email to ada@shop.example"

    def test_an_error_says_that_nothing_was_sent(self, communique):
        memory.clear()
        with pytest.raises(AssertionError, match=r"found 0; sent: nothing$"):
            communique.assert_sent(PasswordReset)


@pytest.mark.usefixtures("reset")
class TestAssertNotSent:
    def test_what_was_not_sent_passes(self, communique):
        communique.assert_not_sent(OrderReceipt)
        communique.assert_not_sent(to="grace@shop.example")
        communique.assert_not_sent(channel="sms")
        communique.assert_not_sent(contains="A-1001")

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({}, "expected nothing like any message, found 1"),
            ({"message": PasswordReset}, "expected nothing like PasswordReset, found 1"),
            (
                {"to": "ada@shop.example", "channel": "email"},
                "expected nothing like any message by email to ada@shop.example, found 1",
            ),
        ],
    )
    def test_an_error_says_what_was_not_expected_and_what_was_sent(self, communique, asked, said):
        with pytest.raises(AssertionError) as caught:
            communique.assert_not_sent(**asked)
        assert str(caught.value) == f"{said}; sent: shop.password_reset by email to ada@shop.example"


@pytest.mark.once
def test_the_memory_backend_accepts_with_the_key_as_reference():
    from tests.test_email_backend import outgoing

    backend = memory.MemoryBackend()
    memory.answer("email", Refused("550"))
    assert [backend.send(outgoing(key="k")) for _ in range(2)] == [Refused("550"), Accepted("250", reference="k")]
    memory.clear()
