"""What a purchase is: the rules for orders of every shop, once.

* A line's unit price is what the shopper pays for the line, divided by its quantity and rounded
  half up to 4 decimal places. Where the division leaves a remainder the product of both differs
  from the total by at most 0.00005 for each unit: 10.00 for three goes out as 3 at 3.3333.
* A quantity that is no whole number (1.5 kg), cannot be read, or would make the unit price round to
  nothing goes out as 1, with the line's total as its price.
* Lines that are free, negative (discounts, refunds), without a product, or of no finite number are
  left out; so are shipping, fees and discounts of the whole order, which are no items.
* Lines whose total cannot be read, or whose ids are no text that an event can hold, are left out,
  too, with a warning. An order of which nothing else is left is lost, and raises.
* Items of the same product, vendor and unit price become one, and all are sorted, so that an order
  makes the same event, byte for byte, whenever it is read. Of more than 5000 those of the highest
  value are kept. What is more than 2147483647 pieces becomes several items.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from django.utils import timezone

from django_topsort.conf import topsort_settings
from django_topsort.events import Purchase, PurchaseItem
from django_topsort.exceptions import (
    InvalidEvent,
    TopsortConfigurationError,
    UnreportableOrder,
    describe,
)
from django_topsort.fields import MAX_INTEGER, MAX_ITEMS, MAX_PRICE, get_text
from django_topsort.logs import FieldLogger
from django_topsort.purchases.amounts import EXACT, read_decimal, read_time
from django_topsort.purchases.reader import Reading, get_reader
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
from django_topsort.purchases.values import is_empty, read_currency, read_id, show_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

logger = FieldLogger(logging.getLogger(__name__))

PRICE_STEP = Decimal("0.0001")
CENT = Decimal("0.01")
MAX_LOGGED_LINES = 20
# Of lines that may have been sold all the same.
LOSSES = frozenset({"unreadable_total", "invalid_product", "invalid_vendor"})


class LeftOutLine(NamedTuple):
    """A line that is not reported: which one, counted from 1, and why.

    ``reason``: ``"no_product"``, ``"currency"``, ``"unreadable_total"`` (no finite number, or a
    million million and more), ``"negative"``, ``"no_quantity"`` (0 or less), ``"free"``,
    ``"invalid_product"`` or ``"invalid_vendor"`` (an id of more than 2048 characters, or that UTF-8
    cannot encode).
    """

    line: int
    reason: str


def build_purchase(
    order: Any,
    *,
    opaque_user_id: str | None = None,
    device_type: str | None = None,
    channel: str | None = None,
) -> Purchase | None:
    """Return the purchase that ``order`` is, or None where it is none, or not yet.

    ``opaque_user_id``, ``device_type`` and ``channel`` go before what the reader finds on the
    order; the former must come from one of them. Its ``id`` is the order's number, its
    ``occurred_at`` when the order was placed. Why there is no purchase, and which lines were left
    out, is logged.

    Raises UnreportableOrder for an order without a number, and for one without a payable line if
    that may be because one cannot be read; InvalidEvent for what no event can hold,
    TopsortConfigurationError for a reader that returns something else, and whatever the reader
    raises.
    """
    judged = judge_order(
        order, opaque_user_id=opaque_user_id, device_type=device_type, channel=channel
    )
    return judged if isinstance(judged, Purchase) else None


def judge_order(
    order: Any,
    *,
    opaque_user_id: str | None = None,
    device_type: str | None = None,
    channel: str | None = None,
    read: Callable[[Any], Reading] | None = None,
    placed_at: datetime | None = None,
) -> Purchase | str:
    """Do as ``build_purchase``, but return the reason where there is no purchase.

    The reasons: ``"incomplete"`` (the reader says that it is none, or not yet), ``"currency"``,
    ``"no_payable_line"`` and ``"unknown_shopper"``. ``read`` takes the reader's place.
    ``placed_at``: when the order was placed, where it does not say so itself; now by default.
    """
    reading: Any = (read or get_reader(order))(order)
    if reading is None:
        logger.debug("no purchase, or not yet: type=%s", type(order).__name__)
        return "incomplete"
    given = {"opaque_user_id": opaque_user_id, "device_type": device_type, "channel": channel}
    known = {name: value for name, value in given.items() if value is not None}
    if isinstance(reading, Purchase):
        return msgspec.structs.replace(reading, **known)
    if not isinstance(reading, OrderSnapshot):
        message = (
            f"TOPSORT_ORDER_READER: it returned {describe(reading)},"
            " it must return an OrderSnapshot, a Purchase or None"
        )
        raise TopsortConfigurationError(message)
    return _build_from_snapshot(reading, known, placed_at)


def _build_from_snapshot(
    order: OrderSnapshot, known: dict[str, str], placed_at: datetime | None
) -> Purchase | str:
    key = read_id(order.key)
    if key is None:
        detail = "the first of the reader's key_names that it has is empty; name another one"
        raise UnreportableOrder("no_number", detail)
    shown = show_key(key)
    if not _is_marketplace_currency(order.currency):
        logger.info("order not reported: order=%s reason=currency", shown)
        return "currency"
    items, left_out = build_items(order.lines)
    if left_out:
        _log_left_out(shown, left_out)
    if not items:
        if any(line.reason in LOSSES for line in left_out):
            detail = f"a line cannot be read, and no other is payable: lines={_show(left_out)}"
            raise UnreportableOrder("no_payable_line", detail)
        # An order without any line has them under another name, if it is not one of nothing.
        level, reason = (
            (logging.INFO, "no_payable_line") if order.lines else (logging.WARNING, "no_line")
        )
        logger.log(level, "order not reported: order=%s reason=%s", shown, reason)
        return "no_payable_line"
    facts = {**_get_facts(order), **known}
    if "opaque_user_id" not in facts:
        logger.warning("order not reported: order=%s reason=unknown_shopper", shown)
        return "unknown_shopper"
    occurred_at = read_time(order.placed_at) or placed_at or timezone.now()
    return Purchase(id=key, occurred_at=occurred_at, items=_keep_most(items, shown), **facts)


def _get_facts(order: OrderSnapshot) -> dict[str, Any]:
    facts = {
        "opaque_user_id": order.opaque_user_id,
        "device_type": order.device_type,
        "channel": order.channel,
    }
    return {name: value for name, value in facts.items() if value}


def build_items(lines: Iterable[LineSnapshot]) -> tuple[list[PurchaseItem], list[LeftOutLine]]:
    """Return the items of a purchase, grouped and sorted, and which lines are none."""
    quantities: dict[tuple[str, str, Decimal], int] = {}
    left_out = []
    for number, line in enumerate(lines, 1):
        judged = _judge_line(line)
        if isinstance(judged, str):
            left_out.append(LeftOutLine(number, judged))
            continue
        group = (judged.product_id, judged.vendor_id, judged.unit_price)
        quantities[group] = quantities.get(group, 0) + judged.quantity
    items = [
        PurchaseItem(
            product_id=product_id,
            unit_price=unit_price,
            quantity=count,
            vendor_id=vendor_id or None,
        )
        for (product_id, vendor_id, unit_price), quantity in sorted(quantities.items())
        for count in _split(quantity)
    ]
    return items, left_out


def _split(quantity: int) -> Iterator[int]:
    """Yield counts that an item can hold, and that make up ``quantity``."""
    while quantity > MAX_INTEGER:
        yield MAX_INTEGER
        quantity -= MAX_INTEGER
    yield quantity


class _Part(NamedTuple):
    product_id: str
    vendor_id: str
    unit_price: Decimal
    quantity: int


def _judge_line(line: LineSnapshot) -> _Part | str:
    """Return what the line adds to the purchase, or the reason why it adds nothing."""
    product_id = read_id(line.product_id)
    if product_id is None:
        return "no_product"
    if not _is_marketplace_currency(line.currency):
        return "currency"
    total = read_decimal(line.total)
    if total is None:
        return "unreadable_total"
    if total < 0:
        return "negative"
    quantity = Decimal(1) if is_empty(line.quantity) else read_decimal(line.quantity)
    if quantity is not None and quantity <= 0:
        return "no_quantity"
    unit_price, count = _divide(total, quantity)
    if unit_price == 0:
        return "free"
    if unit_price >= MAX_PRICE:  # it was just below, before it was rounded
        return "unreadable_total"
    vendor_id = read_id(line.vendor_id) or ""
    if not _is_text(product_id):
        return "invalid_product"
    if vendor_id and not _is_text(vendor_id):
        return "invalid_vendor"
    return _Part(product_id, vendor_id, unit_price, count)


def _is_text(value: str) -> bool:
    try:
        get_text(value, "id")
    except InvalidEvent:
        return False
    return True


def _divide(total: Decimal, quantity: Decimal | None) -> tuple[Decimal, int]:
    """Return the unit price and the quantity as a whole number."""
    if quantity is not None and quantity == quantity.to_integral_value() <= MAX_INTEGER:
        unit_price = _round(EXACT.divide(total, quantity))
        if unit_price:
            return unit_price, int(quantity)
    return _round(total), 1


def _round(price: Decimal) -> Decimal:
    price = price.quantize(PRICE_STEP, context=EXACT)
    # Two decimal places where they say it all, as prices are written.
    cents = price.quantize(CENT, context=EXACT)
    return cents if cents == price else price


def _is_marketplace_currency(currency: str | None) -> bool:
    """Whether the amounts can be reported: the event has no field that would say their currency."""
    wanted = read_currency(topsort_settings.TOPSORT_CURRENCY)
    found = read_currency(currency)
    return wanted is None or found is None or found == wanted


def _keep_most(items: list[PurchaseItem], shown: str) -> list[PurchaseItem]:
    """Return as many items as a purchase can hold, those of the highest value."""
    if len(items) <= MAX_ITEMS:
        return items
    logger.warning(
        "items left out: order=%s items=%s reason=too_many allowed=%s", shown, len(items), MAX_ITEMS
    )
    # Sorting is stable, so that the same items are kept whenever the order is read.
    by_value = sorted(items, key=_get_value, reverse=True)
    kept = set(map(id, by_value[:MAX_ITEMS]))
    return [item for item in items if id(item) in kept]


def _get_value(item: PurchaseItem) -> Decimal:
    return EXACT.multiply(item.unit_price, item.quantity or 1)


def _log_left_out(shown: str, left_out: list[LeftOutLine]) -> None:
    is_loss = any(line.reason in LOSSES for line in left_out)
    level = logging.WARNING if is_loss else logging.INFO
    message = "lines left out: order=%s count=%s lines=%s"
    logger.log(level, message, shown, len(left_out), _show(left_out))


def _show(left_out: list[LeftOutLine]) -> str:
    return " ".join(f"{line}:{reason}" for line, reason in left_out[:MAX_LOGGED_LINES])
