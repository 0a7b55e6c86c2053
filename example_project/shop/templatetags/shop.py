"""How the shop writes amounts of money."""

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def money(amount: Decimal) -> str:
    """Writes an amount in euros: `{{ order.total|money }}` gives €1,234.50."""
    return f"€{amount:,.2f}"
