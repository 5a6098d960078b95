"""The basket: product ids and quantities in the shopper's session."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.contrib.sessions.backends.base import SessionBase

from shop.models import Product, get_topsort_id

SESSION_KEY = "basket"
MAX_QUANTITY = 20


@dataclass(frozen=True)
class BasketLine:
    product: Product
    quantity: int

    @property
    def line_total(self) -> Decimal:
        return self.product.price * self.quantity


class Basket:
    """What the shopper means to buy. It changes the session, and the session keeps it."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session
        # JSON, in which sessions are stored, has only strings as keys.
        self._quantities: dict[str, int] = session.get(SESSION_KEY, {})

    def __len__(self) -> int:
        return sum(self._quantities.values())

    def add(self, product: Product, quantity: int) -> None:
        self.set(product, self._quantities.get(str(product.pk), 0) + quantity)

    def set(self, product: Product, quantity: int) -> None:
        """Zero takes the product out; more than MAX_QUANTITY becomes MAX_QUANTITY."""
        self._quantities.pop(str(product.pk), None)
        if quantity > 0:
            self._quantities[str(product.pk)] = min(quantity, MAX_QUANTITY)
        self._session[SESSION_KEY] = self._quantities

    def clear(self) -> None:
        self._quantities = {}
        self._session[SESSION_KEY] = self._quantities

    @property
    def lines(self) -> list[BasketLine]:
        products = Product.objects.select_related("vendor").filter(pk__in=self._quantities)
        return [BasketLine(product, self._quantities[str(product.pk)]) for product in products]

    @property
    def topsort_ids(self) -> list[str]:
        return [get_topsort_id(line.product) for line in self.lines]

    @property
    def total(self) -> Decimal:
        return sum((line.line_total for line in self.lines), Decimal(0))
