"""What happens in the shop, in the past tense, and who reacts to it besides the messages."""

from datetime import datetime
from decimal import Decimal

from django.contrib.auth.signals import user_logged_in
from django.core.cache import cache
from django.db.models import Count, Sum
from django.utils import timezone

from communique import Event, from_signal, subscribe
from shop.models import Customer, DailySales, Order

BESTSELLERS_CACHE_KEY = "shop.bestsellers"


class OrderPlaced(Event):
    """A customer placed an order."""

    key = "shop.order_placed"

    order: Order
    total: Decimal


class OrderPaid(Event):
    """The payment for an order has arrived."""

    key = "shop.order_paid"

    order: Order


class OrderShipped(Event):
    """The parcel left the roastery."""

    key = "shop.order_shipped"

    order: Order
    tracking: str


class SignedIn(Event):
    """Somebody signed in to a customer's account."""

    key = "shop.signed_in"

    customer: Customer
    ip: str
    at: datetime


from_signal(
    user_logged_in,
    SignedIn,
    lambda sender, user, request=None, **_: {
        "customer": user,
        "ip": request.META.get("REMOTE_ADDR", "") if request else "",
        "at": timezone.now(),
    },
)


@subscribe(OrderPlaced, key="shop.update_stats")
def update_stats(event: OrderPlaced) -> None:
    """Counts the day's orders anew: run twice for one order, it still tells the truth."""
    day = event.order.placed_at.date()
    figures = Order.objects.filter(placed_at__date=day).aggregate(orders=Count("pk"), total=Sum("total"))
    DailySales.objects.update_or_create(day=day, defaults={**figures, "total": figures["total"] or Decimal(0)})


@subscribe(OrderPlaced, key="shop.forget_bestsellers", inline=True)
def forget_bestsellers(event: OrderPlaced) -> None:
    """Drops the cached list in the process that took the order, so its customer's next page is up to date."""
    cache.delete(BESTSELLERS_CACHE_KEY)
