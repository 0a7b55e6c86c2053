"""A worker that is told to end, and one that stands still until others have taken its work for lost."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from .conftest import Orders, Start
from .points import Fault
from .provider import Provider, Script
from .rows import delivery_of, drained, lateness, outcomes, pay, ship, steps, until
from .worker import PATIENCE

# The lease of those who stand still: nobody has to wait for it long.
SHORT = 0.5
AN_HOUR = 3600


def states() -> Counter[str]:
    from communique.models import Delivery

    return Counter(Delivery.objects.values_list("state", flat=True))


@contextmanager
def the_command(provider: Provider, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as an operator starts it."""
    environ = {
        **os.environ,
        "COMMUNIQUE_TEST_DATABASE_NAME": connection.settings_dict["NAME"],
        "COMMUNIQUE_TEST_SMTP_PORT": str(provider.port),
        "COMMUNIQUE_TEST_OPTIONS": '{"POLL_SECONDS": 0.1}',
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "django", "communique_worker", *arguments]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("arguments", [["--threads=8"], ["--processes=2", "--threads=4"]], ids=" ".join)
def test_told_to_end_it_finishes_what_is_open_and_claims_nothing_more(
    arguments: list[str], start: Start, orders: Orders, provider: Provider
) -> None:
    provider.follow(Script(silent=True))
    ship(orders(120))
    with the_command(provider, *arguments) as process:
        until(lambda: len(provider.ledger()) == 8, "all threads are busy")
        process.send_signal(signal.SIGTERM)
        until(lambda: not states()["claimed"], "what was claimed is given back")
        process.send_signal(signal.SIGTERM)
        provider.follow(Script())
        assert process.wait(PATIENCE) == 0
    assert states() == {"sent": 8, "queued": 112}
    assert len(provider.ledger()) == 8
    start(threads=8)
    drained()
    assert set(Counter(entry.to for entry in provider.ledger()).values()) == {1}


@pytest.mark.parametrize("publish", [ship, pay])
def test_stopped_before_the_attempt_is_open_it_finds_its_work_taken_and_sends_nothing(
    publish: Callable[..., None], start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    publish([order])
    zombie = start(fault=Fault(point="rendered", do="stop"), lease=SHORT, once=True)
    zombie.reached("rendered")
    start()
    drained()
    assert zombie.go_on() == 0
    assert outcomes(order) == ["accepted"]
    assert len(provider.ledger()) == 1


@pytest.mark.parametrize("point", ["opened", "accepted"])
def test_stopped_in_the_call_it_comes_too_late_and_overwrites_nothing(
    point: str, start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    ship([order])
    zombie = start(fault=Fault(point=point, do="stop"), lease=SHORT, once=True)
    zombie.reached(point)
    start()
    drained()
    before = delivery_of(order)
    assert (before.state, before.reason) == ("sent", "accepted")
    assert zombie.go_on() == 0
    assert delivery_of(order).lease_token == before.lease_token
    assert lateness(order) == [("accepted", True), ("accepted", False)]
    assert len(provider.ledger()) == 2


def test_stopped_in_the_call_it_makes_the_resend_that_nobody_has_begun_unnecessary(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    ship([order])
    zombie = start(fault=Fault(point="accepted", do="stop"), lease=SHORT, once=True)
    zombie.reached("accepted")
    start(delays=[AN_HOUR])
    until(lambda: delivery_of(order).reason == "outcome_unknown", "the attempt is called unknown")
    assert zombie.go_on() == 0
    ended = delivery_of(order)
    assert (ended.state, ended.reason, ended.communication.verdict) == ("sent", "accepted_late", "reached")
    assert steps(order) == ["sender_lost", "accepted_late"]
    assert lateness(order) == [("accepted", True)]
    assert len(provider.ledger()) == 1


def test_stopped_in_the_call_it_still_tells_what_became_of_a_mail_that_was_held(
    start: Start, orders: Orders, provider: Provider
) -> None:
    (order,) = orders(1)
    pay([order])
    zombie = start(fault=Fault(point="accepted", do="stop"), lease=SHORT, once=True)
    zombie.reached("accepted")
    start()
    until(lambda: delivery_of(order).state == "unknown", "the mail is held")
    assert zombie.go_on() == 0
    assert (delivery_of(order).state, delivery_of(order).reason) == ("sent", "accepted_late")
    assert len(provider.ledger()) == 1
