"""Which line became which item, and why a line became none."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django_topsort.purchases.amounts import read_decimal
from django_topsort.purchases.rules import build_items
from django_topsort.purchases.tracing import Origin, show
from django_topsort.purchases.values import is_empty

if TYPE_CHECKING:
    from django_topsort.events import Purchase, PurchaseItem
    from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
    from django_topsort.purchases.tracing import Step, Tracer

WORDS = {
    "no_product": "it holds no product, as shipping and fees do, or its product is gone",
    "currency": "it is in another currency than TOPSORT_CURRENCY",
    "unreadable_total": "what was charged for it is no finite number",
    "negative": "it is negative: a discount or a refund",
    "no_quantity": "its quantity is 0 or less",
    "free": "it is free",
    "invalid_product": "its product's id is no text that an event can hold",
    "invalid_vendor": "its vendor's id is no text that an event can hold",
    "too_many": "a purchase holds 5000 items, and others are worth more",
}
Group = tuple[str, str | None, Decimal]


class LineVerdict(NamedTuple):
    """What became of a line, counted from 1.

    ``items``: which ones of the purchase, counted from 0, it is in; several lines may be in one.
    ``reason``: why it is in none, else ``""``; ``words``: the same for people.
    """

    line: int
    items: list[int]
    reason: str
    words: str


class LineOrigins(NamedTuple):
    """A line that is in a purchase: its number, what was read, and the call that read it."""

    number: int
    line: LineSnapshot
    item: PurchaseItem
    step: Step | None


def explain_items(
    reading: OrderSnapshot, tracer: Tracer, purchase: Purchase | None
) -> tuple[list[Origin], list[LineVerdict]]:
    """Return where the items' values are from, and what became of each line.

    Where there is no purchase they are the items that it would have.
    """
    items = list(purchase.items) if purchase else build_items(reading.lines)[0]
    numbers: dict[Group, list[int]] = {}
    for number, item in enumerate(items):
        numbers.setdefault(_get_group(item), []).append(number)
    steps = {id(step.value): step for step in tracer.root.inner if step.name == "read_line"}
    verdicts = []
    by_item: dict[int, list[LineOrigins]] = {}
    for number, line in enumerate(reading.lines, 1):
        # Line by line, by the very rules that make the items of all.
        own, left_out = build_items([line])
        found = numbers.get(_get_group(own[0]), []) if own else []
        reason = left_out[0].reason if left_out else "" if found else "too_many"
        verdicts.append(LineVerdict(number, found, reason, WORDS.get(reason, "")))
        if found:
            origins = LineOrigins(number, line, own[0], steps.get(id(line)))
            by_item.setdefault(found[0], []).append(origins)
    explained = [
        origin
        for number, lines in sorted(by_item.items())
        for one in lines
        for origin in _explain_line(f"items[{number}]", items[number], one, tracer)
    ]
    return explained, verdicts


def _get_group(item: PurchaseItem) -> Group:
    return item.product_id, item.vendor_id, item.unit_price


def _explain_line(
    label: str, item: PurchaseItem, read: LineOrigins, tracer: Tracer
) -> list[Origin]:
    line = read.line
    quantity = _explain(read, "get_quantity", line.quantity, tracer) or "no quantity"
    price = _explain(read, "get_line_total", line.total, tracer)
    number = Decimal(1) if is_empty(line.quantity) else read_decimal(line.quantity)
    if number == read.item.quantity:
        price += f" / {quantity}"
    else:
        # Such as 1.5 kg: what was charged for the line is the price of the one that goes out.
        quantity += " is no number of pieces, and goes out as 1"
    values = [
        ("productId", item.product_id, _explain(read, "get_product_id", line.product_id, tracer)),
        ("unitPrice", item.unit_price, price),
        ("quantity", item.quantity, quantity),
    ]
    if item.vendor_id is not None:
        vendor = _explain(read, "get_vendor_id", line.vendor_id, tracer)
        values.append(("vendorId", item.vendor_id, vendor))
    where = f"line {read.number}: "
    return [Origin(f"{label}.{name}", show(value), where + said) for name, value, said in values]


def _explain(read: LineOrigins, method: str, value: object, tracer: Tracer) -> str:
    """Return where a value of a line is from; in doubt, which method made it."""
    if read.step is None:
        return f"from {tracer.name_maker()}"
    step = read.step.get_step(method)
    if step is None or step.value is not value:
        return f"from {read.step.definer or 'OrderReader'}.read_line"
    return step.describe()
