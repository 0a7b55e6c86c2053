"""Whatever instant a process is killed at, no mail is lost, and one that comes twice has a reason."""

import os
import signal
from collections.abc import Callable

import pytest
from django.db import transaction

from .conftest import Orders, Start
from .points import Fault
from .provider import Provider, Script
from .rows import delivery_of, drained, outcomes, pay, ship, steps, until

KILLED = -signal.SIGKILL
# The lease of those who die: nobody has to wait for it long.
SHORT = 0.5


def place_and_die(point: str, pk: int) -> None:
    """Publish in a transaction, and be killed before its commit or right after it."""
    from communique import publish, publishing
    from shop.events import OrderShipped
    from shop.models import Order

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    publishing.install_wake(die)
    with transaction.atomic():
        publish(OrderShipped(order=Order.objects.get(pk=pk), tracking="HC 1"))
        if point == "before commit":
            die()


def test_caller_killed_before_its_commit_leaves_nothing(start: Start, orders: Orders, provider: Provider) -> None:
    from communique.models import EventRecord

    (order,) = orders(1)
    assert start(place_and_die, "before commit", order.pk).ended() == KILLED
    assert start(once=True).ended() == 0
    assert not EventRecord.objects.exists()
    assert provider.ledger() == []


def test_caller_killed_after_its_commit_needs_no_wake_up(start: Start, orders: Orders, provider: Provider) -> None:
    (order,) = orders(1)
    start()
    assert start(place_and_die, "after commit", order.pk).ended() == KILLED
    until(provider.ledger, "the mail is sent")
    drained()
    assert len(provider.ledger()) == 1


@pytest.mark.parametrize("point", ["event claimed", "expanding", "claimed", "rendered", "opening"])
def test_killed_before_the_attempt_is_open_nothing_was_sent_and_nothing_is_doubled(
    point: str, start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    pay([order])
    assert start(fault=Fault(point=point), lease=SHORT).ended() == KILLED
    assert provider.ledger() == []
    start()
    drained()
    assert len(provider.ledger()) == 1
    assert outcomes(order) == ["accepted"]


@pytest.mark.parametrize(
    ("point", "mails"), [("opened", 1), ("half written", 1), ("accepted", 2), ("answered", 2), ("settling", 2)]
)
def test_killed_with_an_open_attempt_the_same_mail_is_sent_again(
    point: str, mails: int, start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    ship([order])
    assert start(fault=Fault(point=point), lease=SHORT).ended() == KILLED
    start()
    drained()
    assert outcomes(order) == ["unknown", "accepted"]
    assert len(provider.ledger()) == mails
    assert len({entry.message_id for entry in provider.ledger()}) == 1


@pytest.mark.parametrize(
    ("point", "mails"), [("opened", 0), ("half written", 0), ("accepted", 1), ("answered", 1), ("settling", 1)]
)
def test_killed_with_an_open_attempt_a_message_that_must_not_be_doubled_is_held(
    point: str, mails: int, start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    pay([order])
    assert start(fault=Fault(point=point), lease=SHORT).ended() == KILLED
    start()
    drained()
    assert delivery_of(order).state == "unknown"
    assert outcomes(order) == ["unknown"]
    assert steps(order)[-1:] == ["sender_lost"]
    assert len(provider.ledger()) == mails


@pytest.mark.parametrize("publish", [ship, pay])
def test_killed_after_the_outcome_is_committed_nothing_is_sent_again(
    publish: Callable[..., None], start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    publish([order])
    assert start(fault=Fault(point="settled"), lease=SHORT).ended() == KILLED
    assert start(once=True).ended() == 0
    drained()
    assert delivery_of(order).state == "sent"
    assert len(provider.ledger()) == 1


def test_killed_by_the_provider_that_has_just_accepted_the_mail_comes_twice_under_one_id(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    doomed = start(lease=SHORT)
    provider.follow(Script(kill=doomed.pid))
    ship([order])
    assert doomed.ended() == KILLED
    provider.follow(Script())
    start()
    drained()
    assert outcomes(order) == ["unknown", "accepted"]
    first, second = provider.ledger()
    assert first.message_id == second.message_id


def test_workers_whose_supervisor_was_killed_end_by_themselves(
    start: Start, orders: Orders, provider: Provider, logged: Callable[[], str]
) -> None:
    supervisor = start(processes=2)
    until(lambda: logged().count(" started with ") == 2, "both are at work")
    supervisor.signal(signal.SIGKILL)
    assert supervisor.ended() == KILLED
    until(lambda: logged().count(" stopped") == 2, "both have ended")
    ship(orders(1))
    assert start(once=True).ended() == 0
    assert len(provider.ledger()) == 1
