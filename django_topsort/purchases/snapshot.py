"""What a reader has read off an order, before any rule is applied to it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

# What the rules can read; a Money-like object is read through its gross, amount or value.
Number = Decimal | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSnapshot:
    """One line of an order.

    ``product_id``: the product's id at Topsort; None leaves the line out. ``total``: what the
    shopper pays for the whole line, discounts and tax included, in units of the currency (not
    cents); None where it cannot be told. ``quantity``: None where the shop counts none, which means
    one. ``vendor_id``: the vendor's id at Topsort. ``currency``: where a line has its own.
    """

    product_id: str | None
    total: Number | None
    quantity: Number | None = 1
    vendor_id: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSnapshot:
    """An order.

    ``key``: its own number, which becomes the purchase's id: unique among all orders that are
    reported, and the same whenever this one is. ``placed_at``: when the shopper placed it; None
    means now. ``opaque_user_id``: of the shopper, where the order keeps it. ``device_type``:
    ``"desktop"`` or ``"mobile"``; ``channel``: ``"onsite"``, ``"offsite"`` or ``"instore"``;
    ``currency``: a code such as ``"EUR"``; each None where the order does not say it.
    """

    key: str
    placed_at: datetime | date | None
    lines: tuple[LineSnapshot, ...]
    opaque_user_id: str | None = None
    device_type: str | None = None
    channel: str | None = None
    currency: str | None = None
