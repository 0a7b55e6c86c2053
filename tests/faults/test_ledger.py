"""A thousand mails, thirty kills -9 of everything that sends: the provider's ledger says what came of it."""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from .conftest import Orders, Start
from .provider import Provider, Script
from .rows import assert_all_explained, drained, pay, ship, unfinished

PROCESSES, THREADS, KILLS = 2, 4, 30
MAILS = 1000
# Published before the first kill; the others in equal shares before each, so that there is always work.
AT_ONCE = 400
# The share that must not be doubled.
HELD = 0.3
LEASE = 2.0
# Workers live so many seconds at most, and no longer than so many mails are left to be sent.
LONGEST_LIFE, LEFT = 1.0, 60
# Kills this dense may meet the same row three times while it is alone in a sender's hands: then it is taken for the
# cause, which is not silent. It takes luck, and much more of it to happen more often.
MISJUDGED = 3


def test_thirty_kills_lose_no_mail_and_double_no_more_than_was_open(
    start: Start, orders: Orders, provider: Provider
) -> None:
    from communique.models import EventRecord

    chance = random.Random(seed := random.randrange(10**6))
    placed = orders(MAILS)
    held = {order.customer.email for order in placed if chance.random() < HELD}
    provider.follow(Script(seconds=0.03))

    def publish(numbers: slice) -> None:
        pay(order for order in placed[numbers] if order.customer.email in held)
        ship(order for order in placed[numbers] if order.customer.email not in held)

    publish(slice(AT_ONCE))
    began = time.monotonic()
    workers = start(processes=PROCESSES, threads=THREADS, lease=LEASE)
    for numbers in shares(AT_ONCE, MAILS, KILLS):
        publish(numbers)
        end = time.monotonic() + chance.uniform(0, LONGEST_LIFE)
        while time.monotonic() < end and len(recipients(provider)) < numbers.stop - LEFT:
            time.sleep(min(0.05, max(0, end - time.monotonic())))
        assert unfinished()
        workers.kill()
        workers = start(processes=PROCESSES, threads=THREADS, lease=LEASE)
    drained()

    sent = recipients(provider)
    doubled = {address: times for address, times in sent.items() if times > 1}
    states = states_of_all()
    # Of a quarantined event there is no delivery.
    quarantined = EventRecord.objects.filter(stage="quarantined").count()
    missing = [order.customer.email for order in placed if not sent[order.customer.email]]
    unsent = Counter(states.get(address, "quarantined") for address in missing)
    sys.stdout.write(
        f"seed {seed}: {len(sent)} of {MAILS} in the ledger after {time.monotonic() - began:.0f} s, "
        f"{len(doubled)} doubled, not sent: {dict(unsent)}\n"
    )
    assert MAILS - len(states) == quarantined
    assert unsent.pop("quarantined", 0) <= MISJUDGED
    assert set(unsent) <= {"unknown"}
    assert {address for address, state in states.items() if state == "unknown"} <= held
    assert not held & doubled.keys()
    assert sum(doubled.values()) - len(doubled) <= PROCESSES * THREADS * KILLS
    assert_all_explained(provider)


def recipients(provider: Provider) -> Counter[str]:
    return Counter(entry.to for entry in provider.ledger())


def shares(first: int, end: int, parts: int) -> Iterator[slice]:
    """The numbers from first to end in so many slices."""
    bounds = [first + (end - first) * part // parts for part in range(parts + 1)]
    return map(slice, bounds, bounds[1:])


def states_of_all() -> dict[str, str]:
    """What became of each mail, by its recipient."""
    from communique.models import Delivery

    return dict(Delivery.objects.values_list("address", "state"))
