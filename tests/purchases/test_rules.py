from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, localcontext
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import assume, given
from hypothesis import strategies as st
from pytest_django import Settings

from django_topsort.events import Purchase, PurchaseItem
from django_topsort.exceptions import InvalidEvent, TopsortConfigurationError, UnreportableOrder
from django_topsort.purchases.databases import get_fresh_order
from django_topsort.purchases.rules import LeftOutLine, build_items, build_purchase
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
from django_topsort.wire import EventsRequest, decode_request, encode_request
from tests.purchases.shapes import PLACED_AT, SHAPES, StrictMoney
from tests.shop.models import Line, Order, Product

STEP = Decimal("0.0001")

prices = st.decimals(min_value="0.01", max_value=10**6, places=2)
quantities = st.integers(min_value=1, max_value=10_000)


def line(total: Any, quantity: Any = 1, product_id: str | None = "P1", **more: Any) -> LineSnapshot:
    return LineSnapshot(product_id=product_id, total=total, quantity=quantity, **more)


def build(order: Any, opaque_user_id: str = "shopper") -> Purchase:
    purchase = build_purchase(order, opaque_user_id=opaque_user_id)
    assert purchase is not None
    return purchase


def encode(order: Any) -> bytes:
    return encode_request(EventsRequest(purchases=(build(order),)))


def describe_items(items: Any) -> list[tuple[str, str, int | None, str | None]]:
    return [
        (item.product_id, str(item.unit_price), item.quantity, item.vendor_id) for item in items
    ]


def order_of(*lines: Any, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"number": "1001", "date_placed": PLACED_AT, "lines": lines, **more})


def paid(total: Any, sold: Any = 1, **more: Any) -> dict[str, Any]:
    return {"product": sold, "total": total, **more}


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "django_topsort.purchases"):
        yield


# --- Orders of living shops ---


@pytest.mark.parametrize("shape", SHAPES)
def test_purchase_of_every_shape_is_right(shape: str) -> None:
    build_order, expected = SHAPES[shape]
    purchase = build(build_order())
    assert purchase.id == expected.key
    assert purchase.occurred_at == PLACED_AT
    assert describe_items(purchase.items) == expected.items


@pytest.mark.parametrize("shape", SHAPES)
def test_purchase_of_every_shape_is_the_same_each_time(shape: str) -> None:
    build_order, _ = SHAPES[shape]
    body = encode(build_order())
    assert encode(build_order()) == body
    assert decode_request(body).purchases == (build(build_order()),)


# --- The price of one ---


@pytest.mark.parametrize(
    ("total", "quantity", "unit_price", "count"),
    [
        (Decimal("30.00"), 3, "10.00", 3),  # three for two of 15.00
        (Decimal("10.00"), 3, "3.3333", 3),
        (Decimal("20.00"), 3, "6.6667", 3),
        (Decimal("0.00025"), 1, "0.0003", 1),  # half up
        (Decimal("31.873"), 1, "31.8730", 1),  # unrounded, in memory
        (0.1 + 0.2, 1, "0.30", 1),
        ("1.234,50", "2", "617.25", 2),
        (StrictMoney("9.90"), 1, "9.90", 1),
        (Decimal(100), 1, "100.00", 1),
        (1999, 1, "1999.00", 1),  # cents, perhaps: nothing here can know
        (Decimal("6.00"), 1.5, "6.00", 1),
        (Decimal("6.00"), "1,5", "6.00", 1),
        (Decimal("6.00"), Decimal("0.250000000"), "6.00", 1),
        (Decimal("6.00"), Decimal("2.000000000"), "3.00", 2),
        (Decimal("6.00"), 2.0, "3.00", 2),
        (Decimal("6.00"), None, "6.00", 1),
        (Decimal("6.00"), "", "6.00", 1),
        (Decimal("6.00"), "a few", "6.00", 1),
        (Decimal("6.00"), True, "6.00", 1),
        (Decimal("6.00"), float("nan"), "6.00", 1),
        (Decimal("0.01"), 1000, "0.01", 1),  # 0.00001 would round to nothing
        (Decimal("6.00"), 2**31, "6.00", 1),
    ],
)
def test_unit_price_is_what_was_charged_divided_by_the_quantity(
    total: Any, quantity: Any, unit_price: str, count: int
) -> None:
    items, left_out = build_items([line(total, quantity)])
    assert describe_items(items) == [("P1", unit_price, count, None)]
    assert left_out == []


@given(total=prices, quantity=quantities)
def test_unit_price_differs_by_rounding_alone(total: Decimal, quantity: int) -> None:
    [item], left_out = build_items([line(total, quantity)])
    assert left_out == []
    assert item.unit_price > 0
    assert item.unit_price == item.unit_price.quantize(STEP)
    if item.quantity == 1:
        assert item.unit_price == total
    else:
        assert item.quantity == quantity
        assert item.unit_price == (total / quantity).quantize(STEP, ROUND_HALF_UP)
        assert abs(item.unit_price * quantity - total) <= Decimal("0.00005") * quantity


@given(total=prices, quantity=st.decimals(min_value="0.001", max_value=1000, places=3))
def test_fractional_quantity_keeps_the_total(total: Decimal, quantity: Decimal) -> None:
    assume(quantity != int(quantity))

    [item], _ = build_items([line(total, quantity)])

    assert (item.unit_price, item.quantity) == (total, 1)


@given(
    total=st.one_of(st.decimals(), st.floats(), st.integers(), st.text(), st.none(), st.booleans()),
    quantity=st.one_of(st.decimals(), st.floats(), st.integers(), st.text(), st.none()),
)
def test_any_line_becomes_a_valid_item_or_is_left_out(total: Any, quantity: Any) -> None:
    items, left_out = build_items([line(total, quantity)])
    assert len(items) + len(left_out) == 1
    Purchase(id="1", opaque_user_id="shopper", items=(*items, PurchaseItem(**VALID)))


VALID: dict[str, Any] = {"product_id": "P", "unit_price": Decimal(1), "quantity": 1}


# --- Which lines count ---


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (line(Decimal("0.00")), "free"),
        (line(Decimal("0.00001")), "free"),
        (line(Decimal("-5.00")), "negative"),
        (line(Decimal("-12.50"), -1), "negative"),
        (line(Decimal("5.00"), product_id=None), "no_product"),
        (line(Decimal("5.00"), product_id=" "), "no_product"),
        (line(Decimal("-3.00"), product_id=None), "no_product"),
        (line(None), "unreadable_total"),
        (line(True), "unreadable_total"),
        (line("5 EUR"), "unreadable_total"),
        (line(Decimal("NaN")), "unreadable_total"),
        (line(float("inf")), "unreadable_total"),
        (line(10**12), "unreadable_total"),
        (line(Decimal("999999999999.99999")), "unreadable_total"),
        (line(Decimal("5.00"), 0), "no_quantity"),
        (line(Decimal("5.00"), -2), "no_quantity"),
        (line(5, product_id="s" * 2049), "invalid_product"),
        (line(5, product_id="\ud800"), "invalid_product"),
        (line(5, vendor_id="v" * 2049), "invalid_vendor"),
        (line(0, product_id="s" * 2049), "free"),
    ],
)
def test_line_that_is_no_item_is_left_out(left_out: LineSnapshot, reason: str) -> None:
    items, lines = build_items([line(1), left_out])
    assert len(items) == 1
    assert lines == [LeftOutLine(2, reason)]


def test_left_out_lines_are_logged_with_the_order_and_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    build(order_of(paid(0), paid(5), paid(-5), paid(5, sold=None)))
    assert caplog.messages == [
        "lines left out: order=1001 count=3 lines=1:free 3:negative 4:no_product"
    ]


def test_left_out_lines_are_not_all_logged_where_there_are_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    build(order_of(paid(5), *[paid(0)] * 1000))
    [message] = caplog.messages
    assert "count=1000" in message
    assert message.count(":free") == 20


@pytest.mark.parametrize("lines", [(paid(0),), (paid(5, sold=None), paid(-5))])
def test_order_without_a_payable_line_is_no_purchase(
    caplog: pytest.LogCaptureFixture, lines: tuple[Any, ...]
) -> None:
    assert build_purchase(order_of(*lines), opaque_user_id="shopper") is None
    assert caplog.messages[-1] == "order not reported: order=1001 reason=no_payable_line"


def test_order_whose_lines_are_not_found_is_named_in_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert build_purchase(order_of(), opaque_user_id="shopper") is None
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "order not reported: order=1001 reason=no_line"


@pytest.mark.parametrize("bad", [paid("5 EUR"), paid(5, sold="s" * 3000)])
def test_order_of_which_a_line_cannot_be_read_is_lost(bad: Any) -> None:
    with pytest.raises(UnreportableOrder, match=r"no_payable_line: .* lines=1:free 2:"):
        build_purchase(order_of(paid(0), bad), opaque_user_id="shopper")


def test_line_that_cannot_be_read_does_not_take_the_others_along(
    caplog: pytest.LogCaptureFixture,
) -> None:
    purchase = build(order_of(paid(5), paid(7, sold="s" * 3000), paid("7 EUR")))
    assert describe_items(purchase.items) == [("1", "5.00", 1, None)]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("lines=2:invalid_product 3:unreadable_total")


def test_quantity_beyond_what_an_item_holds_becomes_several() -> None:
    most = 2**31 - 1
    purchase = build(order_of(*[paid(most, quantity=most)] * 2, paid(5, quantity=5)))
    assert describe_items(purchase.items) == [
        ("1", "1.00", most, None),
        ("1", "1.00", most, None),
        ("1", "1.00", 5, None),
    ]


def test_number_with_a_line_break_forges_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = order_of(paid(5), paid(0), number="1\nERROR forged\u2028\x1b[0m" + "1" * 100)
    build(order)
    [message] = caplog.messages
    assert message.startswith("lines left out: order=1?ERROR forged??[0m1")
    assert "1" * 64 not in message


# --- The shop's own decimal context ---


@pytest.mark.parametrize(
    "context",
    [Context(prec=6), Context(prec=28, traps=[Inexact]), Context(prec=3, rounding="ROUND_DOWN")],
)
@pytest.mark.parametrize(
    ("total", "quantity", "unit_price", "count"),
    [
        (Decimal("12345.67"), "1.5", "12345.67", 1),
        (Decimal("10.00"), 3, "3.3333", 3),
        (Decimal("123456789012.34"), 2, "61728394506.17", 2),
    ],
)
def test_context_of_the_shop_makes_no_difference(
    context: Context, total: Decimal, quantity: Any, unit_price: str, count: int
) -> None:
    with localcontext(context):
        order = order_of(paid(total, quantity=quantity))
        purchase = build(order)
        encode(order)
    assert describe_items(purchase.items) == [("1", unit_price, count, None)]


def test_context_of_the_shop_does_not_choose_the_items_that_are_kept() -> None:
    lines = [paid(Decimal("10.00"), sold=f"P{number:04}") for number in range(4999)]
    lines += [paid(Decimal("10.0003"), sold="B"), paid(Decimal("10.0001"), sold="A")]
    lines += [paid(Decimal("10.0002"), sold="C")]
    with localcontext(Context(prec=3, traps=[Inexact])):
        purchase = build(order_of(*lines))
    assert [item.product_id for item in purchase.items[:3]] == ["A", "B", "C"]
    assert len(purchase.items) == 5000


def test_order_has_no_lines_yet_when_it_is_announced_early() -> None:
    order = order_of()
    assert build_purchase(order, opaque_user_id="shopper") is None
    order.lines = [paid(5)]
    assert len(build(order).items) == 1


def test_shipping_and_discounts_of_the_whole_order_are_no_items() -> None:
    order = order_of(
        paid("20.00"),
        shipping_incl_tax=Decimal("4.90"),
        discount=Decimal(5),
        total=Decimal("19.90"),
    )
    assert describe_items(build(order).items) == [("1", "20.00", 1, None)]


# --- Grouping and sorting ---


def test_lines_of_the_same_product_vendor_and_price_become_one_item() -> None:
    items, _ = build_items(
        [
            line("23.00", product_id="T", vendor_id="V"),
            line("46.00", 2, product_id="T", vendor_id="V"),
            line("23.00", product_id="T", vendor_id="W"),
            line("23.00", product_id="T"),
            line("18.00", product_id="T", vendor_id="V"),
            line("23.00", product_id="A", vendor_id=" "),
        ]
    )
    assert describe_items(items) == [
        ("A", "23.00", 1, None),
        ("T", "23.00", 1, None),
        ("T", "18.00", 1, "V"),
        ("T", "23.00", 3, "V"),
        ("T", "23.00", 1, "W"),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), prices, st.integers(1, 5)), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_order_of_the_lines_makes_no_difference(
    rows: list[tuple[str, Decimal, int]], shuffler: random.Random
) -> None:
    lines = [paid(total, sold=sold, quantity=quantity) for sold, total, quantity in rows]
    shuffled = shuffler.sample(lines, len(lines))
    assert encode(order_of(*shuffled)) == encode(order_of(*lines))


@given(
    st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 3), st.integers(1, 9)), max_size=30)
)
def test_grouping_keeps_the_sum(rows: list[tuple[str, int, int]]) -> None:
    items, _ = build_items(
        line(price * quantity, quantity, product_id=sold) for sold, price, quantity in rows
    )
    assert sum(item.unit_price * (item.quantity or 0) for item in items) == sum(
        price * quantity for _, price, quantity in rows
    )


def test_same_amounts_in_other_types_make_the_same_event() -> None:
    written = encode(order_of(paid(Decimal("10.0000"), quantity=2.0)))
    assert encode(order_of(paid("10", quantity="2"))) == written
    assert encode(order_of(paid(10.0, quantity=Decimal("2.000")), number=1001)) == written


def test_order_of_many_lines_keeps_the_items_of_the_highest_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = [paid(1 + number, sold=f"P{number:04}") for number in range(5003)]
    purchase = build(order_of(*lines))
    assert [item.product_id for item in purchase.items] == [f"P{n:04}" for n in range(3, 5003)]
    assert caplog.messages == ["items left out: order=1001 items=5003 reason=too_many allowed=5000"]
    assert encode(order_of(*reversed(lines))) == encode(order_of(*lines))


def test_order_of_many_lines_of_one_product_is_one_item() -> None:
    purchase = build(order_of(*[paid("2.00")] * 20_000))
    assert describe_items(purchase.items) == [("1", "2.00", 20_000, None)]


# --- The number and the time ---


@pytest.mark.parametrize("number", ["", "  ", None])
def test_order_without_a_number_is_refused(number: Any) -> None:
    with pytest.raises(UnreportableOrder, match="no_number: the first of the reader's key_names"):
        build_purchase(order_of(paid(5), number=number, pk=3), opaque_user_id="shopper")


def test_order_that_has_no_placed_time_happens_now() -> None:
    before = timezone.now()
    purchase = build(order_of(paid(5), date_placed=None))
    assert before <= purchase.occurred_at <= timezone.now()


@pytest.mark.parametrize(
    ("placed_at", "occurred_at"),
    [
        (datetime(2026, 11, 1, 10, 30), "2026-11-01T10:30:00+01:00"),  # noqa: DTZ001
        (date(2026, 11, 1), "2026-11-01T00:00:00+01:00"),
        (PLACED_AT, "2026-11-01T09:30:00Z"),
    ],
)
def test_order_occurred_when_it_was_placed(placed_at: Any, occurred_at: str) -> None:
    order = order_of(paid(5), date_placed=placed_at, date_paid=PLACED_AT + timedelta(days=4))
    assert f'"occurredAt":"{occurred_at}"'.encode() in encode(order)


# --- Currency ---


@pytest.mark.parametrize("currency", ["EUR", "eur", SimpleNamespace(code="EUR"), None, ""])
def test_order_in_the_marketplace_currency_is_reported(settings: Settings, currency: Any) -> None:
    settings.TOPSORT_CURRENCY = "EUR"
    assert build(order_of(paid(5), currency=currency)).id == "1001"


def test_order_in_another_currency_is_not_reported(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    order = order_of(paid(5), currency="USD")
    assert build(order).id == "1001"
    settings.TOPSORT_CURRENCY = "EUR"
    assert build_purchase(order, opaque_user_id="shopper") is None
    assert caplog.messages == ["order not reported: order=1001 reason=currency"]


def test_line_in_another_currency_is_left_out(settings: Settings) -> None:
    settings.TOPSORT_CURRENCY = "EUR"
    items, left_out = build_items([line(5, currency="EUR"), line(5, currency="USD")])
    assert len(items) == 1
    assert left_out == [LeftOutLine(2, "currency")]


# --- The shopper ---


def test_purchase_has_what_is_given_before_what_the_order_says() -> None:
    order = order_of(paid(5), extra={"topsort_user_id": "kept", "topsort_device_type": "mobile"})
    purchase = build_purchase(order)
    assert purchase is not None
    assert (purchase.opaque_user_id, purchase.device_type, purchase.channel) == (
        "kept",
        "mobile",
        None,
    )
    purchase = build_purchase(
        order, opaque_user_id="given", device_type="desktop", channel="instore"
    )
    assert purchase is not None
    assert (purchase.opaque_user_id, purchase.device_type, purchase.channel) == (
        "given",
        "desktop",
        "instore",
    )


def test_order_of_an_unknown_shopper_is_named_in_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert build_purchase(order_of(paid(5))) is None
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "order not reported: order=1001 reason=unknown_shopper"


def test_log_names_no_shopper(caplog: pytest.LogCaptureFixture) -> None:
    build_purchase(order_of(paid(5), paid(0), user="anna@example.com"), opaque_user_id="secret-id")
    assert caplog.messages
    assert "secret-id" not in caplog.text
    assert "anna" not in caplog.text


# --- Readers of one's own ---


def test_reader_that_returns_none_makes_no_purchase(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = lambda order: None
    assert build_purchase(order_of(paid(5)), opaque_user_id="shopper") is None


def test_reader_may_return_a_snapshot_with_unread_numbers(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = lambda order: OrderSnapshot(
        key="7",
        placed_at=date(2026, 11, 1),
        lines=(line("12,50", 2),),
        opaque_user_id="kept",
        device_type="mobile",
        channel="offsite",
        currency="EUR",
    )
    purchase = build_purchase(object())
    assert purchase is not None
    assert describe_items(purchase.items) == [("P1", "6.25", 2, None)]
    assert purchase.opaque_user_id == "kept"


def test_reader_may_return_a_purchase(settings: Settings) -> None:
    own = Purchase(
        id="7",
        occurred_at=datetime(2026, 11, 1, tzinfo=UTC),
        opaque_user_id="own",
        items=(PurchaseItem(**VALID),),
    )
    settings.TOPSORT_ORDER_READER = lambda order: own
    assert build_purchase(object()) == own
    given = build_purchase(object(), opaque_user_id="given")
    assert given is not None
    assert (given.id, given.opaque_user_id, given.items) == ("7", "given", own.items)
    with pytest.raises(InvalidEvent, match="opaque_user_id"):
        build_purchase(object(), opaque_user_id="")


def test_reader_that_returns_something_else_is_a_configuration_error(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = lambda order: {"id": "7"}
    with pytest.raises(
        TopsortConfigurationError, match=r"it returned \{'id': '7'\}, it must return"
    ):
        build_purchase(object())


def test_reader_that_raises_is_heard_by_the_caller(settings: Settings) -> None:
    def read(order: Any) -> None:
        raise LookupError(order.number)

    settings.TOPSORT_ORDER_READER = read
    with pytest.raises(LookupError):
        build_purchase(order_of())


# --- Models ---


def make_order(using: str = "default") -> Order:
    order = Order.objects.using(using).create(number="1001", date_placed=PLACED_AT)
    sold = Product.objects.using(using).create(name="Tea")
    Line.objects.using(using).create(
        order=order, product=sold, quantity=3, line_price_incl_tax=Decimal("30.00"), vendor_id=4
    )
    return order


@pytest.mark.django_db
def test_purchase_of_a_model_is_the_same_from_memory_and_from_the_database() -> None:
    order = make_order()
    fresh = get_fresh_order(order)
    assert fresh is not None
    assert fresh is not order
    assert encode(fresh) == encode(order)
    sold = Product.objects.get()
    assert describe_items(build(fresh).items) == [(str(sold.pk), "10.00", 3, "4")]
