"""A thousand mails, thirty kills -9 of everything that sends: the provider's ledger says what came of it."""

import random
import sys
import time
from collections import Counter

import pytest

from .conftest import Orders, Start
from .outbox import drained, pay, ship, unfinished, until
from .provider import Provider, Script

PROCESSES, THREADS, KILLS = 2, 4, 30
MAILS = 1000
# Published before the first kill; the others in equal shares before each, so that there is always work.
AT_ONCE = 400
HELD_SHARE = 0.3
# A kill comes within so many seconds after the last one.
LONGEST_LIFE = 0.8


def test_thirty_kills_lose_no_mail_and_double_no_more_than_was_open(
    start: Start, orders: Orders, provider: Provider
) -> None:
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    placed = list(orders(MAILS))
    chance.shuffle(placed)
    held = {order.customer.email for order in placed if chance.random() < HELD_SHARE}
    provider.follow(Script(seconds=0.03))

    def publish(many: int) -> None:
        some, placed[:] = placed[:many], placed[many:]
        pay(order for order in some if order.customer.email in held)
        ship(order for order in some if order.customer.email not in held)

    publish(AT_ONCE)
    workers = start(processes=PROCESSES, threads=THREADS)
    for left in range(KILLS, 0, -1):
        publish(len(placed) // left)
        time.sleep(chance.uniform(0, LONGEST_LIFE))
        assert unfinished()
        workers.kill()
        workers = start(processes=PROCESSES, threads=THREADS)
    drained()

    sent = Counter(entry.to for entry in provider.ledger())
    states = states_by_address()
    doubled = sum(sent.values()) - len(sent)
    sys.stdout.write(f"{doubled} duplicates\n")
    assert len(states) == MAILS
    never = [address for address in states if not sent[address]]
    sys.stdout.write(f"never {[(states[a], a in held) for a in never]}\n")
    assert [a for a in never if states[a] != "unknown"] == []
    assert doubled <= PROCESSES * THREADS * KILLS
    assert [a for a in held if sent[a] > 1] == []


def states_by_address() -> dict[str, str]:
    from communique.models import Delivery

    found = dict(Delivery.objects.values_list("address", "state"))
    import collections
    sys.stdout.write(f"{collections.Counter(found.values())}\n")
    return found
