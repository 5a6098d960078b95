"""Why an order is the purchase that it is: the reader itself says where it read each value."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from django_topsort.events import Purchase, PurchaseItem
from django_topsort.outbox.models import RememberedShopper
from django_topsort.purchases.buyers import remember_buyer, remember_refusal
from django_topsort.purchases.explaining import Explanation, explain_order
from django_topsort.purchases.reader import OrderReader
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
from django_topsort.purchases.tracing import Tracer, show
from tests.purchases.shapes import PLACED_AT, SHAPES, Manager, StrictMoney

pytestmark = pytest.mark.django_db


def make_order(*lines: Any, **facts: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{"number": "1001", "date_placed": PLACED_AT, "lines": Manager(*lines), **facts}
    )


def make_line(**facts: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"sku": "shoe-1", "quantity": 2, "line_total": "59.90", **facts})


def find_origins(explanation: Explanation, field: str) -> list[str]:
    return [origin.origin for origin in explanation.origins if origin.field == field]


def explain(order: Any, field: str) -> str:
    """Return where the one value of a field is from."""
    (origin,) = find_origins(explain_order(order, "shopper-1"), field)
    return origin


# A reader that is followed


@pytest.mark.parametrize("name", SHAPES)
def test_every_value_of_a_known_shape_has_an_origin(name: str) -> None:
    build, expected = SHAPES[name]

    explanation = explain_order(build(), "shopper-1")

    assert explanation.reason == ""
    assert explanation.purchase is not None
    items = explanation.purchase.items
    said = [(one.product_id, f"{one.unit_price}", one.quantity, one.vendor_id) for one in items]
    assert said == expected.items
    fields = {origin.field for origin in explanation.origins}
    for number, item in enumerate(items):
        wanted = {"productId", "unitPrice", "quantity", *(["vendorId"] if item.vendor_id else [])}
        assert {f"items[{number}].{one}" for one in wanted} <= fields
    assert [origin for origin in explanation.origins if not origin.origin] == []


@pytest.mark.parametrize("name", SHAPES)
def test_followed_reader_reads_what_the_reader_reads(name: str) -> None:
    order = SHAPES[name][0]()
    if name == "django-shop":
        order = SHAPES["oscar"][0]()  # whose money cannot be compared

    assert Tracer(OrderReader())(order) == OrderReader()(order)


def test_names_are_those_under_which_values_were_found() -> None:
    order = make_order(make_line(partner_id=7))

    assert explain(order, "id") == "number 1001"
    assert explain(order, "occurredAt") == f"date_placed {PLACED_AT}"
    assert explain(order, "items[0].productId") == "line 1: sku shoe-1"
    assert explain(order, "items[0].unitPrice") == "line 1: line_total 59.90 / quantity 2"
    assert explain(order, "items[0].quantity") == "line 1: quantity 2"
    assert explain(order, "items[0].vendorId") == "line 1: partner_id 7"


def test_day_is_the_origin_only_where_there_is_no_time() -> None:
    order = make_order(make_line(), date_placed=date(2026, 11, 1))
    assert explain(order, "occurredAt") == "date_placed 2026-11-01"

    order.created_at = PLACED_AT
    assert explain(order, "occurredAt") == f"created_at {PLACED_AT}"


def test_order_without_a_time_is_said_to_have_none() -> None:
    assert explain(make_order(make_line(), date_placed=None), "occurredAt").startswith(
        "the moment of the report"
    )


def test_unit_price_times_quantity_is_named_as_what_was_charged() -> None:
    order = make_order(make_line(line_total=None, unit_price="3.50"))

    said = explain(order, "items[0].unitPrice")
    assert said == "line 1: unit_price 3.50 x quantity 2 / quantity 2"
    del order.lines.rows[0].quantity
    assert explain(order, "items[0].unitPrice") == (
        "line 1: unit_price 3.50 x quantity 1 / no quantity"
    )


def test_quantity_that_goes_out_as_one_is_said_to() -> None:
    order = make_order(make_line(quantity=Decimal("1.5")))

    assert explain(order, "items[0].unitPrice") == "line 1: line_total 59.90"
    assert explain(order, "items[0].quantity") == (
        "line 1: quantity 1.5 is no number of pieces, and goes out as 1"
    )


def test_product_is_named_by_its_key(settings: Settings) -> None:
    product = SimpleNamespace(pk=5, vendor_id=3)
    order = make_order(make_line(product=product))
    assert explain(order, "items[0].productId") == "line 1: product -> pk 5"
    assert explain(order, "items[0].vendorId") == "line 1: product.vendor_id 3"

    order = make_order(make_line(product="p-5"))
    assert explain(order, "items[0].productId") == "line 1: product p-5"


def test_functions_of_the_settings_are_named(settings: Settings) -> None:
    settings.TOPSORT_PRODUCT_ID = lambda product: f"sku-{product.pk}"
    settings.TOPSORT_VENDOR_ID = lambda product_or_line: "v-1"
    with_product = make_order(make_line(product=SimpleNamespace(pk=5)))

    assert explain(with_product, "items[0].productId") == (
        "line 1: TOPSORT_PRODUCT_ID(product) sku-5"
    )
    assert explain(with_product, "items[0].vendorId") == "line 1: TOPSORT_VENDOR_ID(product) v-1"
    assert explain(make_order(make_line()), "items[0].vendorId") == (
        "line 1: TOPSORT_VENDOR_ID(line) v-1"
    )


def test_product_that_the_shop_does_not_report_leaves_its_line_out(settings: Settings) -> None:
    settings.TOPSORT_PRODUCT_ID = lambda product: None

    explanation = explain_order(make_order(make_line(product=SimpleNamespace(pk=5))), "shopper-1")

    assert [line.reason for line in explanation.lines] == ["no_product"]
    assert explanation.reason == "no_payable_line"


# A reader of the shop's own


class ShopReader(OrderReader):
    def get_key(self, order: Any) -> str:
        return f"shop/{super().get_key(order)}"

    def get_line_total(self, line: Any) -> Any:
        return Decimal(line.cents) / 100

    def ask_product_id(self, product: Any) -> str:
        return f"own-{product.pk}"


class LineReader(OrderReader):
    def read_line(self, line: Any) -> LineSnapshot:
        return dataclasses.replace(super().read_line(line), total="5.00")


class WholeReader(OrderReader):
    def __call__(self, order: Any) -> Any:
        read: Any = super().__call__(order)
        lines = (LineSnapshot(product_id="bag", total="0.10"), *read.lines)
        return dataclasses.replace(read, key="other", lines=lines)


def test_method_that_a_subclass_overrides_is_named(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = ShopReader
    order = make_order(make_line(product=SimpleNamespace(pk=5), cents=100))

    assert explain(order, "id") == "from ShopReader.get_key, which read number 1001"
    assert explain(order, "items[0].unitPrice") == (
        "line 1: from ShopReader.get_line_total / quantity 2"
    )
    assert explain(order, "items[0].productId") == (
        "line 1: ShopReader.ask_product_id(product) own-5"
    )
    assert explain_order(order, "u").reader == "tests.purchases.test_explaining.ShopReader"


def test_names_that_a_subclass_sets_are_named(settings: Settings) -> None:
    class Reader(OrderReader):
        key_names = ("invoice",)

    settings.TOPSORT_ORDER_READER = Reader
    assert explain(make_order(make_line(), invoice="I-1"), "id") == "invoice I-1"


def test_instance_of_a_reader_is_followed_and_left_as_it_is(settings: Settings) -> None:
    reader = settings.TOPSORT_ORDER_READER = ShopReader()
    order = make_order(make_line(product=SimpleNamespace(pk=5), cents=100))

    assert explain(order, "id") == "from ShopReader.get_key, which read number 1001"
    assert vars(reader) == {}


def test_value_that_read_line_has_replaced_is_its_own(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = LineReader
    order = make_order(make_line())

    assert explain(order, "items[0].unitPrice") == "line 1: from LineReader.read_line / quantity 2"
    assert explain(order, "items[0].productId") == "line 1: sku shoe-1"


def test_value_that_call_has_replaced_is_its_own(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = WholeReader
    order = make_order(make_line())

    assert explain(order, "id") == "from WholeReader.__call__"
    assert explain(order, "items[0].productId") == "line 1: from WholeReader.__call__"
    assert explain(order, "items[1].productId") == "line 2: sku shoe-1"


def read_snapshot(order: Any) -> OrderSnapshot:
    line = LineSnapshot(product_id="p-1", total="9.00")
    return OrderSnapshot(
        key="f-1", placed_at=PLACED_AT, lines=(line,), opaque_user_id=order.buyer, currency="EUR"
    )


def test_function_is_said_to_have_made_every_value(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = read_snapshot
    settings.TOPSORT_CURRENCY = "EUR"
    name = f"{__name__}.read_snapshot"

    explanation = explain_order(SimpleNamespace(pk=1, buyer="shopper-7"))

    assert explanation.reader == name
    assert {origin.origin for origin in explanation.origins if origin.field != "channel"} == {
        f"from {name}",
        f"line 1: from {name}",
        f"line 1: from {name} / from {name}",
    }
    assert explanation.shopper == f"shopper-7, from {name}"
    assert explanation.currency == f"EUR (from {name}); TOPSORT_CURRENCY is EUR"


def test_shopper_whom_a_function_does_not_say_is_on_the_order(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = read_snapshot

    explanation = explain_order(SimpleNamespace(pk=1, buyer=None, topsort_user_id="shopper-8"))

    assert explanation.shopper == "shopper-8, on the order: topsort_user_id shopper-8"


def test_reader_that_returns_a_purchase_is_taken_at_its_word(settings: Settings) -> None:
    item = PurchaseItem(product_id="p-1", unit_price=Decimal("9.00"))
    settings.TOPSORT_ORDER_READER = lambda order: Purchase(
        id="own", occurred_at=PLACED_AT, items=[item], opaque_user_id="own-shopper"
    )

    explanation = explain_order(make_order(), "shopper-1")

    assert explanation.purchase is not None
    assert explanation.purchase.id == "own"
    (origin,) = explanation.origins
    assert origin.origin.startswith("as ")
    assert origin.origin.endswith("returned it, in a Purchase")


# Why there is no purchase


def test_order_that_is_a_test_is_said_to_be_one() -> None:
    explanation = explain_order(make_order(make_line(), testmode=True), "shopper-1")

    assert explanation.reason == "incomplete"
    assert explanation.verdict.endswith("(testmode is True)")
    assert explanation.origins == []


def test_order_that_is_not_complete_names_who_says_so(settings: Settings) -> None:
    class Paid(OrderReader):
        def is_complete(self, order: Any) -> bool:
            return False

    class Silent(OrderReader):
        def __call__(self, order: Any) -> None:
            return None

    settings.TOPSORT_ORDER_READER = Paid
    assert explain_order(make_order(), "u").verdict.endswith("Paid.is_complete)")
    settings.TOPSORT_ORDER_READER = Silent
    assert explain_order(make_order(), "u").verdict.endswith("Silent returned None)")


def test_lines_left_out_are_explained_in_words() -> None:
    order = make_order(make_line(), make_line(line_total="0.00"), make_line(line_total="soon"))

    explanation = explain_order(order, "shopper-1")

    assert [(line.line, line.items, line.reason) for line in explanation.lines] == [
        (1, [0], ""),
        (2, [], "free"),
        (3, [], "unreadable_total"),
    ]
    assert explanation.lines[1].words == "it is free"


def test_items_name_all_lines_that_they_are_made_of() -> None:
    order = make_order(make_line(), make_line(sku="hat-1"), make_line(quantity=4, line_total=119.8))

    explanation = explain_order(order, "shopper-1")

    assert [line.items for line in explanation.lines] == [[1], [0], [1]]
    assert find_origins(explanation, "items[1].quantity") == [
        "line 1: quantity 2",
        "line 3: quantity 4",
    ]


def test_items_that_a_purchase_cannot_hold_are_said_to_be_too_many() -> None:
    lines = [make_line(sku=f"p-{number}", line_total=number) for number in range(1, 5002)]

    explanation = explain_order(make_order(*lines), "shopper-1")

    assert [one.line for one in explanation.lines if one.reason == "too_many"] == [1]


def test_order_without_a_payable_line_has_no_items() -> None:
    explanation = explain_order(make_order(make_line(line_total="0.00")), "shopper-1")

    assert explanation.reason == "no_payable_line"
    assert explanation.purchase is None
    assert find_origins(explanation, "id") == ["number 1001"]


def test_order_in_another_currency_says_which_and_where(settings: Settings) -> None:
    settings.TOPSORT_CURRENCY = "EUR"

    explanation = explain_order(make_order(make_line(), currency="usd"), "shopper-1")
    assert explanation.reason == "currency"
    assert explanation.currency == "USD (currency usd); TOPSORT_CURRENCY is EUR"
    explanation = explain_order(make_order(make_line()), "shopper-1")
    assert (
        explanation.currency == "the order says none, and is taken to be in EUR (TOPSORT_CURRENCY)"
    )


def test_currency_of_a_price_is_found_with_the_price() -> None:
    tracer = Tracer(OrderReader())
    tracer(make_order(make_line(line_total=StrictMoney("5.00"))))

    (step,) = [step for step in tracer.root.walk() if step.name == "get_line_currency"]
    assert step.describe() == "line_total.currency EUR"


def test_order_without_a_number_is_unreportable() -> None:
    explanation = explain_order(make_order(make_line(), number=""), "shopper-1")

    assert explanation.reason == "no_number"


def test_invalid_shopper_is_named_by_its_field() -> None:
    explanation = explain_order(make_order(make_line()), "u" * 65)

    assert (explanation.reason, explanation.shopper) == ("invalid", "")
    assert explanation.verdict.startswith("opaque_user_id: ")


def test_reader_that_returns_something_else_is_named(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = len

    explanation = explain_order([], "shopper-1")

    assert explanation.reason == "invalid"
    assert explanation.verdict.startswith("TOPSORT_ORDER_READER: ")


def test_reader_that_raises_names_the_method_and_the_line(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = ShopReader
    order = make_order(make_line(cents=5), make_line())

    explanation = explain_order(order, "shopper-1")

    assert explanation.reason == "raised"
    assert explanation.verdict.startswith(
        "ShopReader.get_line_total of line 2 raised AttributeError: "
    )


def test_method_that_raises_for_the_order_is_named(settings: Settings) -> None:
    class Broken(OrderReader):
        def get_placed_at(self, order: Any) -> Any:
            raise LookupError("no time")

    settings.TOPSORT_ORDER_READER = Broken
    said = explain_order(make_order(make_line()), "u").verdict
    assert said.endswith("Broken.get_placed_at raised LookupError: no time")

    settings.TOPSORT_ORDER_READER = read_snapshot
    said = explain_order(make_order(make_line()), "u").verdict
    assert said.startswith(f"{__name__}.read_snapshot raised AttributeError: ")


# Whose the order is


def test_shopper_on_the_order_is_named_with_its_attribute() -> None:
    order = make_order(make_line(), extra={"topsort_user_id": "s-1", "topsort_channel": "instore"})

    explanation = explain_order(order)

    assert explanation.shopper == "s-1, on the order: extra.topsort_user_id s-1"
    assert find_origins(explanation, "channel") == ["extra.topsort_channel instore"]


def test_shopper_who_was_remembered_is_named_with_the_age() -> None:
    remember_buyer("1001", "s-2", device_type="mobile")

    explanation = explain_order(make_order(make_line()))
    assert explanation.shopper == "s-2, remembered 0.0 hours ago, when the order was placed"
    assert find_origins(explanation, "deviceType") == ["remembered with the shopper"]

    RememberedShopper.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert "s-2, remembered 3 days ago" in explain_order(make_order(make_line())).shopper


def test_shopper_who_was_remembered_in_the_cache_has_no_age(settings: Settings) -> None:
    settings.INSTALLED_APPS = [
        name for name in settings.INSTALLED_APPS if name != "django_topsort.outbox"
    ]
    remember_buyer("1001", "s-2")

    assert explain_order(make_order(make_line())).shopper == "s-2, remembered in the cache"


def test_shopper_who_may_not_be_tracked_is_nobody() -> None:
    remember_refusal("1001")

    explanation = explain_order(make_order(make_line()))

    assert explanation.reason == "no_consent"
    assert explanation.shopper == "may not be tracked: that was said at the order"


def test_shopper_whom_nobody_knows_comes_with_what_to_do() -> None:
    explanation = explain_order(make_order(make_line()))

    assert explanation.reason == "no_shopper"
    assert "Send order_placed at the checkout" in explanation.shopper
    assert find_origins(explanation, "items[0].productId") == ["line 1: sku shoe-1"]


def test_shopper_and_order_say_channel_and_device() -> None:
    order = make_order(make_line(), topsort_device_type="desktop")

    explanation = explain_order(order, "shopper-1")

    assert find_origins(explanation, "deviceType") == ["topsort_device_type desktop"]
    assert find_origins(explanation, "channel") == ["TOPSORT_CHANNEL"]


# Values in one line


class Unwritable:
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([1, 2], "(2)"),
        (Unwritable(), "(Unwritable)"),
        ("a\nb", "a?b"),
        ("x" * 61, "x" * 57 + "..."),
    ],
)
def test_value_is_shown_in_one_short_line(value: object, shown: str) -> None:
    assert show(value) == shown
