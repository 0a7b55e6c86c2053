"""Code of the host that raises, rolls back or kills whoever runs it: its own message suffers, and no other."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from django.db import transaction

from .conftest import Orders, Start
from .points import Fault, HostError
from .provider import Provider
from .rows import delivery_of, drained, outcomes, ship, steps, until

AN_HOUR = 3600
# Everybody's, where a worker dies four times and each lease has to run out.
SHORT = 1.0

Logged = Callable[[], str]


def test_rolled_back_caller_sends_nothing(start: Start, orders: Orders, provider: Provider) -> None:
    from communique.models import EventRecord

    some = orders(3)
    with suppress(HostError), transaction.atomic():
        ship(some)
        raise HostError
    assert start(once=True).ended() == 0
    assert not EventRecord.objects.exists()
    assert provider.ledger() == []


def test_message_that_kills_whoever_renders_it_is_quarantined_and_takes_nobody_along(
    start: Start, orders: Orders, provider: Provider, logged: Logged
) -> None:
    some = orders(60)
    deadly, others = some[30], [*some[:30], *some[31:]]
    ship(some)
    start(fault=Fault(point="order_url", order=deadly.number, nth=0), processes=2, threads=4, lease=SHORT)
    drained()
    taken_out = delivery_of(deadly)
    assert (taken_out.state, taken_out.reason) == ("quarantined", "killed_senders")
    assert taken_out.communication.verdict == "unreachable"
    assert steps(deadly) == ["lease_lost"] * 3 + ["killed_senders"]
    assert {entry.to for entry in provider.ledger()} == {order.customer.email for order in others}
    assert {delivery_of(order).state for order in others} == {"sent"}
    assert "ERROR communique.alerts shop.delivery_notice quarantined" in logged()


def test_event_that_kills_whoever_expands_it_is_quarantined_and_takes_nobody_along(
    start: Start, orders: Orders, provider: Provider, logged: Logged
) -> None:
    from communique.models import EventRecord

    some = orders(60)
    deadly, others = some[30], [*some[:30], *some[31:]]
    ship(some)
    start(fault=Fault(point="recipients", order=deadly.number, nth=0), processes=2, threads=4, lease=SHORT)
    drained()
    assert Counter(EventRecord.objects.values_list("stage", flat=True)) == {"done": 59, "quarantined": 1}
    assert {entry.to for entry in provider.ledger()} == {order.customer.email for order in others}
    assert "ERROR communique.expanding event" in logged()


def test_message_that_cannot_be_rendered_waits_while_its_batch_is_sent(
    start: Start, orders: Orders, provider: Provider
) -> None:
    some = orders(20)
    broken, others = some[5], [*some[:5], *some[6:]]
    ship(some)
    start(fault=Fault(point="order_url", do="raise", order=broken.number, nth=0), delays=[AN_HOUR])
    until(lambda: len(provider.ledger()) == 19 and steps(broken), "all others are sent")
    assert Counter(entry.to for entry in provider.ledger()) == Counter(order.customer.email for order in others)
    assert (delivery_of(broken).state, delivery_of(broken).tries) == ("queued", 1)
    assert delivery_of(broken).steps.get().detail.startswith("HostError at ")


def test_message_that_cannot_be_rendered_once_is_sent_the_next_time(
    start: Start, orders: Orders, provider: Provider
) -> None:
    some = orders(20)
    ship(some)
    start(fault=Fault(point="order_url", do="raise", order=some[5].number))
    drained()
    assert steps(some[5]) == ["rendering_failed"]
    assert outcomes(some[5]) == ["accepted"]
    assert Counter(entry.to for entry in provider.ledger()) == Counter(order.customer.email for order in some)


def test_message_whose_recipients_raise_is_expanded_the_next_time_and_delays_no_other(
    start: Start, orders: Orders, provider: Provider
) -> None:
    from communique.models import Reaction

    some = orders(20)
    ship(some)
    start(fault=Fault(point="recipients", do="raise", order=some[5].number))
    drained()
    reaction = Reaction.objects.get()
    assert (reaction.subscriber, reaction.stage, reaction.tries) == ("shop.delivery_notice", "done", 2)
    assert Counter(entry.to for entry in provider.ledger()) == Counter(order.customer.email for order in some)
