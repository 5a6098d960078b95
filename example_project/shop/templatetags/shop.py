"""Small things that the shop's own templates need."""

from __future__ import annotations

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def euros(amount: Decimal) -> str:
    return f"€{amount:,.2f}"
