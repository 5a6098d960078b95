"""Orders of the tests' shop."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.shop.models import Line, Order

PLACED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def place_order(number: str = "1001", using: str = "default", user: Any = None) -> Order:
    """Save an order of two shoes and a hat."""
    order = Order.objects.using(using).create(number=number, date_placed=PLACED, user=user)
    lines = Line.objects.using(using)
    lines.create(order=order, sku="shoe-1", quantity=2, line_price_incl_tax="59.90", vendor_id=7)
    lines.create(order=order, sku="hat-1", quantity=1, line_price_incl_tax="19.95")
    return order
