"""Many processes that want the same rows: each row is had by one of them."""

from collections import Counter

from .conftest import Orders, Start
from .provider import Provider
from .rows import drained, ship

PROCESSES, MAILS = 16, 1000
# Nothing is recovered here: whatever is sent twice was claimed twice.
LONG = 120.0


def test_sixteen_processes_send_each_mail_once(start: Start, orders: Orders, provider: Provider) -> None:
    from communique.models import Attempt

    some = orders(MAILS)
    for _ in range(PROCESSES):
        start(lease=LONG, poll=1)
    ship(some)
    drained()
    assert Counter(entry.to for entry in provider.ledger()) == Counter(order.customer.email for order in some)
    assert Attempt.objects.count() == MAILS
    assert Attempt.objects.values("worker").distinct().count() > 1
