"""What the shop knows: customers, products, orders, and a counter of sales per day."""

from decimal import Decimal
from uuid import uuid4

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Customer(AbstractUser):
    phone = models.CharField(max_length=32, blank=True, default="")
    language = models.CharField(max_length=16, blank=True, default="")
    timezone = models.CharField(max_length=64, blank=True, default="")

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Product(models.Model):
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=200, blank=True, default="")
    price = models.DecimalField(max_digits=8, decimal_places=2)
    colour = models.CharField(max_length=7, default="#8a5a3c", help_text="Colour of the bag, as #rrggbb.")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    class Status(models.TextChoices):
        PLACED = "placed", "Placed"
        PAID = "paid", "Paid"
        SHIPPED = "shipped", "Shipped"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    number = models.CharField(max_length=40, unique=True, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLACED)
    total = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal("0.00"))
    placed_at = models.DateTimeField(default=timezone.now)
    tracking = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        ordering = ("-placed_at", "-pk")

    def __str__(self) -> str:
        return self.number or "new order"

    def save(self, *args: object, **kwargs: object) -> None:
        """Saves the order; a new one without a number is numbered after its primary key: A-1001, A-1002, ..."""
        if self.number:
            return super().save(*args, **kwargs)  # type: ignore[arg-type]
        self.number = uuid4().hex
        super().save(*args, **kwargs)  # type: ignore[arg-type]
        self.number = f"A-{1000 + self.pk}"
        return super().save(update_fields=["number"])

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.number])


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField(default=1)
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"  # noqa: RUF001 - a multiplication sign is meant

    @property
    def subtotal(self) -> Decimal:
        return self.quantity * self.unit_price


class DailySales(models.Model):
    """Orders and turnover of one day, kept by the `shop.update_stats` handler."""

    day = models.DateField(unique=True)
    orders = models.PositiveIntegerField(default=0)
    total = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal("0.00"))

    class Meta:
        ordering = ("-day",)
        verbose_name_plural = "daily sales"

    def __str__(self) -> str:
        return f"{self.day}: {self.orders} orders"
