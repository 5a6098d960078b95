"""What the basket costs beyond its products' prices."""

from __future__ import annotations

from typing import Any

from salesman.basket.modifiers import BasketModifier


class ThreeForTwo(BasketModifier):  # type: ignore[misc]  # Salesman has no types here
    """Every third teapot is free."""

    identifier = "three-for-two"

    def process_item(self, item: Any, request: Any) -> None:
        if item.product.code == "teapot" and item.quantity >= 3:
            free = item.quantity // 3
            self.add_extra_row(item, request, "3 for 2", -free * item.unit_price)


class Shipping(BasketModifier):  # type: ignore[misc]  # as above
    identifier = "shipping"

    def process_basket(self, basket: Any, request: Any) -> None:
        if basket.count:
            self.add_extra_row(basket, request, "Shipping", 5)
