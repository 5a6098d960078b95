"""Orders of the shop itself, and of those that cannot be installed here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.shops.recipes.models import CartridgeOrder, Cheese, LfsOrder, Order

PLACED = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


def place_order(number: str = "1001", **more: Any) -> Any:
    """Save an order of two kettles and a cup: 64.85 in all."""
    values = {"number": number, "date_placed": PLACED, "total": "64.85", **more}
    order = Order.objects.create(**values)
    order.lines.create(sku="kettle", quantity=2, line_total="59.90")
    order.lines.create(sku="cup", quantity=1, line_total="4.95")
    return order


def place_lfs_order(state: int) -> Any:
    """Save an order of 1.5 kg of cheese, with a discount, which in LFS is a line, too."""
    order = LfsOrder.objects.create(number=f"2026/{7 + state}", created=PLACED, state=state)
    order.items.create(
        product=Cheese.objects.get_or_create(pk=31, name="Gouda")[0],
        product_sku="L31",
        product_amount=1.5,
        product_price_gross=4.0,
        price_gross=6.0,
    )
    order.items.create(
        product_sku="summer", product_amount=1.0, product_price_gross=-3.0, price_gross=-3.0
    )
    return order


def place_cartridge_order() -> Any:
    """Save an order of two cups."""
    order = CartridgeOrder.objects.create(pk=77, key="session", time=PLACED, total="16.00")
    order.items.create(sku="cup", quantity=2, unit_price="8.00", total_price="16.00")
    return order
