"""A provider that refuses for a while, drops connections or falls silent."""

from datetime import timedelta

from .conftest import Orders, Start
from .provider import Provider, Script
from .rows import delivery_of, drained, outcomes, pay, ship, until


def test_mail_that_is_refused_for_the_time_being_is_sent_in_the_end(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    provider.follow(Script(refused=3))
    ship([order])
    start()
    drained()
    assert outcomes(order) == ["retry", "retry", "retry", "accepted"]
    assert len(provider.ledger()) == 1


def test_connection_dropped_inside_the_mail_leaves_the_outcome_unknown_and_it_is_sent_again(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    provider.follow(Script(dropped=2))
    ship([order])
    start()
    drained()
    assert outcomes(order) == ["unknown", "unknown", "accepted"]
    assert len(provider.ledger()) == 1


def test_no_answer_after_the_mail_leaves_the_outcome_unknown_and_the_same_mail_is_sent_again(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    provider.follow(Script(unanswered=1))
    ship([order])
    start(timeout=1)
    drained()
    assert outcomes(order) == ["unknown", "accepted"]
    first, second = provider.ledger()
    assert first.message_id == second.message_id


def test_no_answer_after_a_mail_that_must_not_be_doubled_holds_it(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    provider.follow(Script(unanswered=1))
    pay([order])
    start(timeout=1)
    drained()
    assert delivery_of(order).state == "unknown"
    assert len(provider.ledger()) == 1


def test_call_that_takes_longer_than_the_lease_keeps_it(start: Start, orders: Orders, provider: Provider) -> None:
    from communique import clock

    (order,) = orders(1)
    provider.follow(Script(silent=True))
    ship([order])
    start()
    until(provider.ledger, "the mail is kept")
    first_lease = delivery_of(order).due_at
    assert first_lease is not None
    start()
    until(lambda: clock.now("default") > first_lease + timedelta(seconds=1), "others would have taken it for lost")
    provider.follow(Script())
    drained()
    assert outcomes(order) == ["accepted"]
    assert len(provider.ledger()) == 1
