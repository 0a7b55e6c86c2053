"""Fills an empty shop: staff, customers, coffees, and a week in which they were bought."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from communique import clock, publish
from communique.engines import immediate
from shop import services
from shop.events import SignedIn
from shop.models import Customer, Order, Product

PRODUCTS = [
    ("Harbour Espresso", "Dark and round: cocoa, hazelnut, a little smoke.", "13.90", "#7a3e1d"),
    ("Fog Signal Filter", "Bright Ethiopian filter roast: bergamot and peach.", "12.50", "#c4622d"),
    ("Night Watch Decaf", "Sugar-cane decaf that nobody believes is one.", "13.20", "#2f4858"),
    ("Salt & Caramel", "Brazilian natural, sweet and heavy: good with milk.", "12.90", "#b98a3e"),
    ("Lighthouse Blend", "Our everyday blend. Hard to get wrong.", "10.90", "#a32f2f"),
    ("Spring Tide", "This month's guest: a washed Colombian, plum and lime.", "14.80", "#2f7a5c"),
]
CUSTOMERS = [
    ("ada", "Ada", "Byron", "ada@customers.example", "Europe/London"),
    ("bola", "Bola", "Okafor", "bola@customers.example", "Africa/Lagos"),
    ("chiara", "Chiara", "Rossi", "chiara@customers.example", "Europe/Rome"),
    ("dev", "Dev", "Raman", "dev@customers.example", "Asia/Kolkata"),
    ("elin", "Elin", "Berg", "greylist@customers.example", "Europe/Stockholm"),  # her provider says "later" at first
    ("farid", "Farid", "Haddad", "", "Asia/Beirut"),  # left no address: his messages reach nobody, and say so
]
LOYALTY = (6, 4, 4, 4, 3, 1)  # how often each of them orders, in proportion
ORDERS = 24
RETRIES = (timedelta(minutes=2), timedelta(minutes=12))  # when the sender runs again after each deed

Deed = tuple[timedelta, Callable[[], None]]  # how long ago, and what was done


class Command(BaseCommand):
    help = "Fills an empty shop with staff (admin/admin), customers, coffees and a week of history."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-history", action="store_true", help="only staff, customers and coffees")

    def handle(self, *args: object, no_history: bool, **options: Any) -> None:
        if Product.objects.exists():
            self.stdout.write("The shop is filled already.")
            return
        customers = self._people()
        products = [
            Product.objects.create(name=name, description=description, price=Decimal(price), colour=colour)
            for name, description, price, colour in PRODUCTS
        ]
        if not no_history:
            self._live([*a_week(customers, products)])

    def _people(self) -> list[Customer]:
        Customer.objects.create_superuser("admin", "admin@halyard.example", "admin", first_name="Admin")
        return [
            Customer.objects.create_user(
                username,
                email,
                username,
                first_name=first_name,
                last_name=last_name,
                timezone=timezone_name,
                language="en",
            )
            for username, first_name, last_name, email, timezone_name in CUSTOMERS
        ]

    def _live(self, deeds: list[Deed]) -> None:
        """Does each deed at its time and lets the real sender run, as if the time had passed."""
        mailbox: Path = settings.SHOP_MAILBOX  # type: ignore[misc] # the tests' settings have none
        arrived: set[Path] = set()
        retries = [(ago - later, _nothing) for ago, _ in deeds for later in RETRIES if ago > later]
        for ago, do in sorted([*deeds, *retries], key=lambda deed: deed[0], reverse=True):
            with clock.shifted(-ago):
                do()
                immediate.run_due()
            arrived |= _postmark(mailbox, ago, arrived)
        immediate.run_due()
        self.stdout.write(f"A week has passed: {Order.objects.count()} orders.")


def a_week(customers: list[Customer], products: list[Product]) -> Iterator[Deed]:
    """What happened in the last seven days, in no order. The same in every demo."""
    chance = random.Random(1857)
    for _ in range(ORDERS):
        ago = timedelta(minutes=chance.randrange(40, 7 * 24 * 60))
        (customer,) = chance.choices(customers, LOYALTY)
        yield from _one_order(chance, ago, customer, products)
    for customer in chance.sample(customers, 4):
        ago = timedelta(minutes=chance.randrange(60, 7 * 24 * 60))
        yield ago, partial(_sign_in, customer, f"203.0.113.{chance.randrange(1, 255)}", ago)
    yield timedelta(days=2, minutes=12), partial(services.request_password_reset, "bola@customers.example")
    yield timedelta(hours=5), partial(services.request_password_reset, "chiara@customers.example")


def _nothing() -> None:
    """Somebody did nothing, but time went by."""


def _sign_in(customer: Customer, ip: str, ago: timedelta) -> None:
    publish(SignedIn(customer=customer, ip=ip, at=timezone.now() - ago))


def _one_order(chance: random.Random, ago: timedelta, customer: Customer, products: list[Product]) -> Iterator[Deed]:
    """An order, mostly paid some minutes later, mostly shipped a day later."""
    chosen = {
        product: chance.choice([1, 1, 1, 2, 3]) for product in chance.sample(products, chance.choice([1, 1, 2, 3]))
    }
    placed: list[Order] = []

    def place() -> None:
        order = services.place_order(customer, chosen)
        Order.objects.filter(pk=order.pk).update(placed_at=timezone.now() - ago)
        placed.append(order)

    yield ago, place
    paid = ago - timedelta(minutes=chance.randrange(3, 90))
    if paid <= timedelta() or chance.random() < 0.15:
        return
    yield paid, lambda: services.pay(placed[0])
    shipped = paid - timedelta(minutes=chance.randrange(6 * 60, 30 * 60))
    if shipped > timedelta():
        yield shipped, lambda: services.ship(placed[0])


def _postmark(mailbox: Path, ago: timedelta, known: set[Path]) -> set[Path]:
    """The provider lives in the present: lets what it has just accepted have arrived when it would have."""
    new = set(mailbox.glob("*.json")) - known
    for envelope in new:
        noted = json.loads(envelope.read_text())
        noted["received_at"] = (datetime.fromisoformat(noted["received_at"]) - ago).isoformat()
        envelope.write_text(json.dumps(noted))
    return new
