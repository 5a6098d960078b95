"""Reading an order of which nothing is known but the names that shops give to things."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from django_topsort.conf import topsort_settings
from django_topsort.events import Purchase
from django_topsort.fields import CHANNELS, DEVICE_TYPES
from django_topsort.logs import FieldLogger
from django_topsort.purchases.amounts import EXACT, parse_time, read_decimal, read_time
from django_topsort.purchases.names import OrderNames
from django_topsort.purchases.products import get_product_id, get_vendor_id
from django_topsort.purchases.registry import find_registered_reader
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
from django_topsort.purchases.values import (
    ABSENT,
    get_value,
    is_empty,
    is_plain_id,
    read_currency,
    read_id,
    show_key,
)
from django_topsort.shoppers import MAX_SHOPPER_ID

logger = FieldLogger(logging.getLogger(__name__))

Reading = OrderSnapshot | Purchase | None


class Found(NamedTuple):
    """A value, and the name under which it was found."""

    name: str
    value: Any


class OrderReader(OrderNames):
    """Reads any order: models, dicts, named tuples and plain objects.

    A shop whose names differ overrides a tuple of OrderNames, one whose orders differ overrides a
    method, and ``TOPSORT_ORDER_READER`` names the class::

        class Reader(OrderReader):
            key_names = ("invoice_number",)

            def is_complete(self, order):
                return order.status == "paid"

    An order that is a model is read again from its database when it is reported, so all that
    counts must be stored: a ``topsort_user_id`` that was only set on the instance is lost.

    An instance is made for each use. ``reader(order)`` returns an OrderSnapshot, or None for what
    is not a purchase, or not yet; a reader of one's own may as well return a Purchase.
    """

    def __call__(self, order: Any) -> Reading:
        if not self.is_complete(order):
            return None
        return OrderSnapshot(
            key=self.get_key(order),
            placed_at=self.get_placed_at(order),
            lines=tuple(self.read_line(line) for line in self.get_lines(order)),
            opaque_user_id=self.get_opaque_user_id(order),
            device_type=self.get_device_type(order),
            channel=self.get_channel(order),
            currency=self.get_currency(order),
        )

    def find(self, owner: object, names: Iterable[str]) -> Found | None:
        """Return what ``owner`` has under the first of ``names`` that is not None or blank text."""
        for name in names:
            value = get_value(owner, name)
            if not is_empty(value):
                return Found(name, value)
        return None

    def find_key(self, order: Any) -> Found | None:
        """Return what the order has under the first of ``key_names`` that it has, blank or not."""
        for name in self.key_names:
            value = get_value(order, name)
            if value is not ABSENT:
                return Found(name, value)
        return None

    def find_placed_at(self, order: Any) -> Found | None:
        """Return the first of ``placed_at_names`` that holds a time, else the first with a day."""
        day: Found | None = None
        for name in self.placed_at_names:
            found = parse_time(get_value(order, name))
            if isinstance(found, datetime):
                return Found(name, found)
            if day is None and found is not None:
                day = Found(name, found)
        return day

    def find_lines(self, order: Any) -> Found | None:
        """Return the list of lines under the first of ``lines_names`` that has any."""
        for name in self.lines_names:
            lines = list_lines(get_value(order, name))
            if lines:
                return Found(name, lines)
        return None

    def ask_product_id(self, product: Any) -> str | None:
        """Return a product's id: ``TOPSORT_PRODUCT_ID`` says it, else it is the primary key."""
        return get_product_id(product)

    def ask_vendor_id(self, product_or_line: Any) -> str | None:
        """Return a vendor's id as ``TOPSORT_VENDOR_ID`` says it."""
        return get_vendor_id(product_or_line)

    def is_complete(self, order: Any) -> bool:
        """Whether this order is a purchase by now: yes, unless it says that it is a test.

        Override it where orders are announced before they count, such as by the first of several
        payments; what is not complete is left alone, and can be announced again.
        """
        return get_value(order, "testmode") is not True

    def get_key(self, order: Any) -> str:
        """Return the order's own number, ``""`` where it has none."""
        found = self.find_key(order)
        return (found and read_id(found.value)) or ""

    def get_placed_at(self, order: Any) -> datetime | None:
        """Return when the order was placed, in an aware datetime.

        A day without a time of day counts only where there is nothing better: it would begin before
        the clicks that led to the order, and Topsort attributes no purchase to a later click.
        """
        found = self.find_placed_at(order)
        if found is None and (unread := self.find(order, self.placed_at_names)):
            said = "order=%s: its time cannot be read name=%s type=%s; it is reported as placed now"
            shown = show_key(self.get_key(order)), unread.name, type(unread.value).__name__
            logger.warning(said, *shown)
        return read_time(found.value) if found else None

    def get_lines(self, order: Any) -> list[Any]:
        """Return the order's lines, with their products fetched in one query."""
        found = self.find_lines(order)
        if found is None:
            return []
        prefetch_products(found.value, self.product_names)
        lines: list[Any] = found.value
        return lines

    def read_line(self, line: Any) -> LineSnapshot:
        """Return what is read off one line."""
        return LineSnapshot(
            product_id=self.get_product_id(line),
            total=self.get_line_total(line),
            quantity=self.get_quantity(line),
            vendor_id=self.get_vendor_id(line),
            currency=self.get_line_currency(line),
        )

    def get_product(self, line: Any) -> Any:
        """Return the line's product, or None where it is gone."""
        found = self.find(line, self.product_names)
        return found and found.value

    def get_product_id(self, line: Any) -> str | None:
        """Return the product's id at Topsort, or None for a line that holds no product.

        Where the product is gone it is the id or the number (SKU) that the line kept of it. The
        number comes first where ``TOPSORT_PRODUCT_ID`` is set: what that function would have
        returned is unknown, but it need not be the primary key.
        """
        product = self.get_product(line)
        has_hook = topsort_settings.TOPSORT_PRODUCT_ID is not None
        if product is not None:
            product_id = self.ask_product_id(product)
            if product_id is not None or has_hook:
                return product_id
        kept = [self.product_id_names, self.sku_names]
        if has_hook:
            kept.reverse()
        found = self.find(line, chain.from_iterable(kept))
        return read_id(found.value) if found else None

    def get_vendor_id(self, line: Any) -> str | None:
        """Return the vendor's id: ``TOPSORT_VENDOR_ID`` says it, else the line or the product."""
        product = self.get_product(line)
        if topsort_settings.TOPSORT_VENDOR_ID is not None:
            has_product = product is not None and not is_plain_id(product)
            return self.ask_vendor_id(product if has_product else line)
        found = self.find(line, self.vendor_names) or self.find(product, self.vendor_names)
        return read_id(found.value) if found else None

    def get_quantity(self, line: Any) -> Any:
        """Return how many, as the line has it; None where it does not say."""
        found = self.find(line, self.quantity_names)
        return found and found.value

    def get_line_total(self, line: Any) -> Any:
        """Return what the shopper pays for the line; None where that cannot be told.

        Where a line has only a price for one, it is that price times the quantity.
        """
        found = self.find(line, self.line_total_names)
        if found is not None:
            return found.value
        found = self.find(line, self.unit_price_names)
        quantity = self.get_quantity(line)
        price = read_decimal(found and found.value)
        number = Decimal(1) if quantity is None else read_decimal(quantity)
        if price is None or number is None:
            return None
        return EXACT.multiply(price, number)

    def get_line_currency(self, line: Any) -> str | None:
        """Return the line's own currency, or that of its price where this is a Money."""
        found = self.find(line, self.line_currency_names)
        if found is None:
            money = self.find(line, (*self.line_total_names, *self.unit_price_names))
            found = money and self.find(money.value, ("currency", "gross.currency"))
        return read_currency(found.value) if found else None

    def get_currency(self, order: Any) -> str | None:
        """Return the code of the order's currency, or None where it does not say one."""
        found = self.find(order, self.currency_names)
        return read_currency(found.value) if found else None

    def get_opaque_user_id(self, order: Any) -> str | None:
        """Return the shopper's opaque user id where the order keeps one of 1 to 64 characters."""
        found = self.find(order, self.shopper_names)
        if found is None or not is_plain_id(found.value):
            return None
        opaque_user_id = read_id(found.value)
        return opaque_user_id if len(opaque_user_id or "") <= MAX_SHOPPER_ID else None

    def get_device_type(self, order: Any) -> str | None:
        """Return ``"desktop"`` or ``"mobile"`` where the order says one of them."""
        found = self.find(order, self.device_type_names)
        return found.value if found and found.value in DEVICE_TYPES else None

    def get_channel(self, order: Any) -> str | None:
        """Return ``"onsite"``, ``"offsite"`` or ``"instore"`` where the order says one of them."""
        found = self.find(order, self.channel_names)
        return found.value if found and found.value in CHANNELS else None

    def get_user(self, order: Any) -> Any:
        """Return the account that ordered, or its id; None for a guest's order."""
        found = self.find(order, self.user_names)
        return found and found.value


def get_reader(order: object = None) -> Callable[[Any], Reading]:
    """Return what reads ``order``: an instance where it is a class.

    It is the reader that ``TOPSORT_ORDER_READER`` names. Where that is the default one, a reader
    that was registered for the order's model goes before it (``registry.register_reader``).
    """
    hook = topsort_settings.get_hook("TOPSORT_ORDER_READER") or OrderReader
    if hook is OrderReader:
        hook = find_registered_reader(order) or OrderReader
    return hook() if isinstance(hook, type) else hook


def list_lines(value: object) -> list[Any]:
    """Return the lines in a queryset, a list, a generator or a dict's values; else none."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return list(value)
    return []


def prefetch_products(lines: list[Any], names: Iterable[str]) -> None:
    """Fetch the products of all lines at once, where lines are models that have them as a relation.

    An order of a thousand lines would make a thousand queries. It is no join, so that a line whose
    product is gone from the database stays in the list.
    """
    model = type(lines[0])
    if not issubclass(model, models.Model) or any(type(line) is not model for line in lines):
        return
    for name in names:
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            continue
        if field.many_to_one or field.one_to_one:
            models.prefetch_related_objects(lines, name)
