"""What the shop tells its customers, and when."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from communique import Message
from shop import examples
from shop.events import OrderPaid, OrderPlaced, OrderShipped, SignedIn
from shop.models import Customer, Order


class AboutOrder(Message):
    """What all messages about an order have in common."""

    abstract = True
    topic = "orders"
    load = {"order": ("customer", "lines__product")}
    from_email = "Halyard Coffee <orders@halyard.example>"
    reply_to = ("help@halyard.example",)

    order: Order

    def recipients(self) -> Customer:
        return self.order.customer

    @property
    def order_url(self) -> str:
        return _absolute(self.order.get_absolute_url())


class OrderReceipt(AboutOrder):
    """Receipt for a placed order."""

    key = "shop.order_receipt"
    on = OrderPlaced
    mandatory = True

    total: Decimal

    @classmethod
    def example(cls) -> "OrderReceipt":
        order = examples.order()
        return cls(order=order, total=order.total)


class PaymentReceived(AboutOrder):
    """Confirmation that an order is paid."""

    key = "shop.payment_received"
    on = OrderPaid
    on_unknown = "hold"  # told twice of one payment, a customer fears to have paid twice

    @classmethod
    def example(cls) -> "PaymentReceived":
        return cls(order=examples.order(status=Order.Status.PAID))


class DeliveryNotice(AboutOrder):
    """The parcel is on its way."""

    key = "shop.delivery_notice"
    on = OrderShipped

    tracking: str

    @classmethod
    def example(cls) -> "DeliveryNotice":
        return cls(order=examples.order(status=Order.Status.SHIPPED), tracking="HC 4471 2093")


class PasswordReset(Message):
    """The link to choose a new password; sent on request, worthless after an hour."""

    key = "shop.password_reset"
    topic = "security"
    mandatory = True
    priority = "urgent"
    expires = timedelta(hours=1)

    customer: Customer

    def recipients(self) -> Customer:
        return self.customer

    @property
    def link(self) -> str:
        """Made when the mail is rendered; stored nowhere but in the mail."""
        uid = urlsafe_base64_encode(force_bytes(self.customer.pk))
        token = default_token_generator.make_token(self.customer)
        return _absolute(reverse("shop:reset_password", args=[uid, token]))

    @classmethod
    def example(cls) -> "PasswordReset":
        return cls(customer=examples.customer())


class NewSignIn(Message):
    """Security alert: somebody signed in to the account."""

    key = "shop.new_sign_in"
    on = SignedIn
    topic = "security"
    mandatory = True
    priority = "urgent"
    expires = timedelta(days=1)

    customer: Customer
    ip: str
    at: datetime

    def recipients(self) -> Customer:
        return self.customer

    @property
    def forgot_url(self) -> str:
        return _absolute(reverse("shop:forgot_password"))

    @classmethod
    def example(cls) -> "NewSignIn":
        return cls(customer=examples.customer(), ip="198.51.100.7", at=datetime(2026, 3, 14, 9, 26, tzinfo=UTC))


def _absolute(path: str) -> str:
    """The path as an address that works outside the site, in a mail."""
    return f"{settings.COMMUNIQUE.get('BASE_URL', 'http://localhost:8000')}{path}"
