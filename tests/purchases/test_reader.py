from __future__ import annotations

from datetime import date, datetime
from decimal import Context, Decimal, Inexact, localcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from pytest_django.asserts import assertNumQueries

from django_topsort.purchases.reader import OrderReader, get_reader
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
from tests.purchases.shapes import PLACED_AT, SHAPES, Manager, Money, product
from tests.shop.models import Line, Order, Product

BERLIN = ZoneInfo("Europe/Berlin")


def read(order: Any, reader: OrderReader | None = None) -> OrderSnapshot:
    snapshot = (reader or OrderReader())(order)
    assert isinstance(snapshot, OrderSnapshot)
    return snapshot


def read_line(line: Any) -> LineSnapshot:
    return OrderReader().read_line(line)


def test_time_that_cannot_be_read_is_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert read({"number": "1001", "created_at": "20.11.2026 10:00"}).placed_at is None
    assert read({"number": "1002"}).placed_at is None

    [message] = caplog.messages
    assert message.startswith("order=1001: its time cannot be read name=created_at type=str")


@pytest.mark.parametrize("context", [Context(prec=3), Context(prec=3, traps=[Inexact])])
def test_reader_line_total_is_the_same_in_any_decimal_context(context: Context) -> None:
    price, quantity = "1." + "3" * 40, "1.5" + "0" * 20 + "1"
    with localcontext(context):
        total = read_line({"unit_price": Decimal(price), "quantity": quantity}).total
    assert isinstance(total, Decimal)
    assert total.quantize(Decimal("0.0001")) == Decimal("2.0000")


@pytest.mark.parametrize("shape", SHAPES)
def test_reader_finds_key_and_time_of_every_shape(shape: str) -> None:
    build, expected = SHAPES[shape]
    snapshot = read(build())
    assert snapshot.key == expected.key
    assert snapshot.placed_at == PLACED_AT


@pytest.mark.parametrize(
    ("order", "key"),
    [
        (SimpleNamespace(number=100001, pk=1), "100001"),
        (SimpleNamespace(number="100001", pk=1), "100001"),
        (SimpleNamespace(number=" 7 "), "7"),
        (SimpleNamespace(pk=5, id=6), "5"),
        ({"order_id": "A1"}, "A1"),
        ({"uuid": UUID(int=2)}, str(UUID(int=2))),
        # A number that comes later must not become a second purchase beside one named by its pk.
        (SimpleNamespace(number="", pk=5), ""),
        (SimpleNamespace(number=None, pk=5), ""),
        (SimpleNamespace(pk=None), ""),
        (SimpleNamespace(), ""),
    ],
)
def test_reader_key_is_the_first_name_that_the_order_has(order: Any, key: str) -> None:
    assert OrderReader().get_key(order) == key


@pytest.mark.parametrize(
    ("order", "placed_at"),
    [
        ({"date_placed": datetime(2026, 11, 1, 9)}, datetime(2026, 11, 1, 9, tzinfo=BERLIN)),  # noqa: DTZ001
        ({"date_placed": None, "created": PLACED_AT}, PLACED_AT),
        ({"order_date": date(2026, 11, 1), "created_at": PLACED_AT}, PLACED_AT),
        ({"order_date": date(2026, 11, 1)}, datetime(2026, 11, 1, tzinfo=BERLIN)),
        ({"created": "2026-11-01T09:30:00Z"}, PLACED_AT),
        ({"created": int(PLACED_AT.timestamp())}, PLACED_AT),
        ({"created": "yesterday"}, None),
        ({}, None),
    ],
)
def test_reader_placed_at_prefers_a_time_to_a_day(order: Any, placed_at: datetime | None) -> None:
    assert OrderReader().get_placed_at(order) == placed_at


@pytest.mark.parametrize(
    "lines",
    [
        ["a", "b"],
        ("a", "b"),
        {"1": "a", "2": "b"},
        Manager("a", "b"),
        iter(["a", "b"]),
        lambda: ["a", "b"],
    ],
)
def test_reader_lines_come_from_any_container(lines: Any) -> None:
    assert OrderReader().get_lines(SimpleNamespace(lines=lines)) == ["a", "b"]


def test_reader_lines_come_from_the_first_name_that_has_some() -> None:
    order = SimpleNamespace(lines=Manager(), items=None, order_items="nothing", positions=["a"])
    assert OrderReader().get_lines(order) == ["a"]
    assert OrderReader().get_lines({"items": []}) == []


def test_reader_product_id_is_the_products_key_else_what_the_line_kept() -> None:
    reader = OrderReader()
    assert reader.get_product_id({"product": product(5), "sku": "S"}) == "5"
    assert reader.get_product_id({"product": "5"}) == "5"
    assert reader.get_product_id({"product": None, "product_id": 5, "sku": "S"}) == "5"
    assert reader.get_product_id({"product": None, "sku": "S"}) == "S"
    assert reader.get_product_id({"product": product(None), "sku": "S"}) == "S"
    assert reader.get_product_id({"product": None, "sku": ""}) is None


def test_reader_product_id_comes_from_the_hook(settings: Settings) -> None:
    settings.TOPSORT_PRODUCT_ID = lambda product: product.parent_id or product.pk
    reader = OrderReader()
    child = SimpleNamespace(pk=5, parent_id=3)
    alone = SimpleNamespace(pk=6, parent_id=None)
    assert reader.get_product_id({"product": child}) == "3"
    assert reader.get_product_id({"product": alone}) == "6"
    # An id is an id already.
    assert reader.get_product_id({"product": "7"}) == "7"


def test_reader_product_id_of_a_product_that_the_hook_does_not_know_is_none(
    settings: Settings,
) -> None:
    settings.TOPSORT_PRODUCT_ID = lambda product: None
    assert OrderReader().get_product_id({"product": product(5), "sku": "S"}) is None


def test_reader_product_id_of_a_lost_product_is_not_its_key_where_a_hook_is_set(
    settings: Settings,
) -> None:
    settings.TOPSORT_PRODUCT_ID = "tests.purchases.test_products.get_sku"
    assert OrderReader().get_product_id({"product": None, "product_id": 5, "sku": "S"}) == "S"
    assert OrderReader().get_product_id({"product": None, "product_id": 5}) == "5"


def test_reader_vendor_is_the_lines_else_the_products() -> None:
    reader = OrderReader()
    sold = SimpleNamespace(pk=5, vendor_id=9)
    assert reader.get_vendor_id({"product": sold, "partner_id": 2}) == "2"
    assert reader.get_vendor_id({"product": sold, "vendor_id": None}) == "9"
    assert reader.get_vendor_id({"product": product(5), "vendor_id": ""}) is None
    assert reader.get_vendor_id({"vendor": SimpleNamespace(pk=4)}) == "4"


def test_reader_vendor_hook_gets_the_product_or_else_the_line(settings: Settings) -> None:
    settings.TOPSORT_VENDOR_ID = lambda thing: thing.owner
    reader = OrderReader()
    sold = SimpleNamespace(pk=5, owner="v-product")
    assert reader.get_vendor_id(SimpleNamespace(product=sold, owner="v-line")) == "v-product"
    assert reader.get_vendor_id(SimpleNamespace(product=None, owner="v-line")) == "v-line"
    assert reader.get_vendor_id(SimpleNamespace(product="5", owner="v-line")) == "v-line"
    assert reader.get_vendor_id(SimpleNamespace(product=None, owner="", vendor_id=3)) is None


@pytest.mark.parametrize(
    ("line", "total"),
    [
        (
            {"line_price_incl_tax": Decimal("30.00"), "unit_price": 15, "quantity": 3},
            Decimal("30.00"),
        ),
        ({"total": Decimal(0), "unit_price": Decimal(5)}, Decimal(0)),  # charged nothing
        ({"total": None, "unit_price": Decimal(5), "quantity": 3}, Decimal(15)),
        ({"price": "2,50", "quantity": "2"}, Decimal("5.00")),
        ({"price": 4.0, "quantity": 1.5}, Decimal("6.00")),
        ({"price": 4.0}, Decimal("4.0")),
        ({"price": 4.0, "quantity": "some"}, None),
        ({"price": "free"}, None),
        ({}, None),
    ],
)
def test_reader_line_total_is_what_was_charged(line: Any, total: Decimal | None) -> None:
    assert OrderReader().get_line_total(line) == total


def test_reader_quantity_is_none_where_there_is_none() -> None:
    assert read_line({"total": 1}).quantity is None
    assert read_line({"product_amount": 1.5}).quantity == 1.5


def test_reader_currency_is_the_orders_and_the_lines() -> None:
    money = Money(Decimal(1), "usd")
    assert read({"pk": 1, "currency": "eur"}).currency == "EUR"
    assert read(SimpleNamespace(event=SimpleNamespace(currency="EUR"))).currency == "EUR"
    assert read({"pk": 1}).currency is None
    assert read_line({"currency": SimpleNamespace(code="EUR"), "total": money}).currency == "EUR"
    assert read_line({"total": money}).currency == "USD"
    assert read_line({"unit_price": {"gross": {"amount": 1, "currency": "USD"}}}).currency == "USD"
    assert read_line({"total": Decimal(1)}).currency is None
    assert read_line({}).currency is None


@pytest.mark.parametrize(
    ("order", "opaque_user_id"),
    [
        ({"topsort_user_id": "shopper"}, "shopper"),
        ({"topsort_user_id": UUID(int=3)}, str(UUID(int=3))),
        ({"topsort_user_id": "", "extra": {"topsort_user_id": "shopper"}}, "shopper"),
        ({"metadata": {"topsort_user_id": "shopper"}}, "shopper"),
        ({"topsort_user_id": "x" * 65}, None),
        ({"topsort_user_id": object()}, None),
        ({"extra": None}, None),
        ({}, None),
    ],
)
def test_reader_finds_the_shopper_that_the_order_keeps(
    order: Any, opaque_user_id: str | None
) -> None:
    assert OrderReader().get_opaque_user_id(order) == opaque_user_id


def test_reader_takes_only_the_devices_and_channels_that_topsort_knows() -> None:
    order = {"topsort_device_type": "mobile", "extra": {"topsort_channel": "instore"}}
    assert (read(order).device_type, read(order).channel) == ("mobile", "instore")
    order = {"topsort_device_type": "tablet", "extra": {"topsort_channel": "web"}}
    assert (read(order).device_type, read(order).channel) == (None, None)
    assert (read({}).device_type, read({}).channel) == (None, None)


def test_reader_leaves_a_test_order_alone() -> None:
    assert OrderReader()(SimpleNamespace(pk=1, testmode=True)) is None
    assert read(SimpleNamespace(pk=1, testmode=False)).key == "1"


def test_reader_names_and_methods_can_be_overridden() -> None:
    class NetReader(OrderReader):
        key_names = ("invoice.number",)
        line_total_names = ("line_price_excl_tax",)

        def is_complete(self, order: Any) -> bool:
            return bool(order.paid)

    line = SimpleNamespace(
        line_price_incl_tax=Decimal("11.90"),
        line_price_excl_tax=Decimal("10.00"),
        product=product(1),
    )
    order = SimpleNamespace(paid=False, invoice=SimpleNamespace(number="I1"), lines=[line])
    assert NetReader()(order) is None
    order.paid = True
    snapshot = read(order, NetReader())
    assert snapshot.key == "I1"
    assert snapshot.lines[0].total == Decimal("10.00")


def read_nothing(order: Any) -> None:
    """Find no purchase."""


class Unrelated:
    """A reader that shares nothing with the default one."""

    def __call__(self, order: Any) -> None:
        """Find no purchase."""


def test_get_reader_makes_an_instance_of_a_class(settings: Settings) -> None:
    assert type(get_reader()) is OrderReader
    settings.TOPSORT_ORDER_READER = "tests.purchases.test_reader.Unrelated"
    assert isinstance(get_reader(), Unrelated)


def test_get_reader_takes_a_function_as_it_is(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = "tests.purchases.test_reader.read_nothing"
    assert get_reader() is read_nothing
    settings.TOPSORT_ORDER_READER = None
    assert type(get_reader()) is OrderReader


def make_order(lines: int = 0) -> Order:
    order = Order.objects.create(number="1001", date_placed=PLACED_AT)
    for number in range(lines):
        sold = Product.objects.create(name=f"Product {number}", vendor_id=number)
        Line.objects.create(order=order, product=sold, quantity=2, line_price_incl_tax="9.98")
    return order


@pytest.mark.django_db
def test_reader_reads_models() -> None:
    order = make_order(1)
    sold = Product.objects.get()
    snapshot = read(order)
    assert snapshot == OrderSnapshot(
        key="1001",
        placed_at=PLACED_AT,
        lines=(
            LineSnapshot(
                product_id=str(sold.pk),
                total=Decimal("9.98"),
                quantity=Decimal("2.000"),
                vendor_id="0",
            ),
        ),
    )


@pytest.mark.django_db
def test_reader_fetches_the_products_of_all_lines_at_once() -> None:
    order = make_order(30)
    with assertNumQueries(2):
        snapshot = read(order)
    assert len({line.product_id for line in snapshot.lines}) == 30


@pytest.mark.django_db
def test_reader_fetches_only_relations_at_once() -> None:
    class Reader(OrderReader):
        product_names = ("sku", "product")

    order = make_order(3)
    with assertNumQueries(2):
        snapshot = read(order, Reader())
    assert len({line.product_id for line in snapshot.lines}) == 3


@pytest.mark.django_db
def test_reader_keeps_a_line_whose_product_was_deleted() -> None:
    order = make_order(1)
    order.lines.update(sku="S-1")
    Product.objects.all().delete()
    assert [line.product_id for line in read(order).lines] == ["S-1"]


@pytest.mark.django_db
def test_reader_reads_a_list_of_several_models() -> None:
    order = make_order(1)
    lines = [*order.lines.all(), SimpleNamespace(product=product(5), total=Decimal(1))]
    snapshot = read(SimpleNamespace(number="1001", lines=lines))
    assert [line.product_id for line in snapshot.lines] == [str(Product.objects.get().pk), "5"]
    lines = [*order.lines.all(), User(pk=3)]
    assert len(read(SimpleNamespace(number="1001", lines=lines)).lines) == 2


def test_reader_finds_the_account_that_ordered() -> None:
    reader = OrderReader()
    user = User(pk=4)
    assert reader.get_user(SimpleNamespace(user=user)) is user
    assert reader.get_user(SimpleNamespace(customer=SimpleNamespace(user=user))) is user
    assert reader.get_user({"user_id": 4}) == 4
    assert reader.get_user({"user": None}) is None


def test_reader_finds_say_under_which_name() -> None:
    found = OrderReader().find({"reference": " ", "ref": 7}, OrderReader.key_names)
    assert found == ("ref", 7)
