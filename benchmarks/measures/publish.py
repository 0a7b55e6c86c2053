"""What publish() costs the caller, beside one bare insert of the very same row by Django's ORM.

    python benchmarks/run.py publish

Both inside the same open transaction, alternating. Included: making the event, or the row, with its uid and values;
checking and dumping the payload; the statement. Not included: the commit, and the wake-up that follows it elsewhere.
"""

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from host.events import OrderPlaced
from host.models import Order
from tables import Table, middle

from communique import clock, publish
from communique.models import EventRecord
from communique.uids import uuid7

PAIRS = 50


def measure(options: argparse.Namespace) -> Table:
    orders = list(Order.objects.all()[: 20 * PAIRS])
    rounds = [_round(orders) for _ in range(options.rounds)]
    publishing, inserting = (middle([one[n] for one in rounds]) for n in (0, 1))
    return Table(
        title=f"publish() and a bare insert, medians of {options.rounds} times {len(orders)}",
        rows=[
            {"microseconds": "publish(OrderPlaced(order=order, total=order.total))", "median": publishing, "ratio": ""},
            {"microseconds": "EventRecord(...).save(force_insert=True)", "median": inserting, "ratio": ""},
            {"microseconds": "ratio", "median": "", "ratio": middle([one[0] / one[1] for one in rounds])},
        ],
    )


def _round(orders: list[Order]) -> tuple[float, float]:
    published, inserted = [], []
    gc.disable()
    for start in range(0, len(orders), PAIRS):
        with transaction.atomic():
            for order in orders[start : start + PAIRS]:
                published.append(_timed(partial(_publish, order)))
                inserted.append(_timed(partial(_insert, order)))
            transaction.set_rollback(True)
    gc.enable()
    return middle(published) * 1e6, middle(inserted) * 1e6


def _timed(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _publish(order: Order) -> None:
    publish(OrderPlaced(order=order, total=order.total))


def _insert(order: Order) -> None:
    now = clock.in_insert()
    EventRecord(
        uid=uuid7(),
        key="host.order_placed",
        payload={"order": {"host.order": order.pk}, "total": str(order.total)},
        occurred_at=now,
        due_at=now,
    ).save(force_insert=True)
