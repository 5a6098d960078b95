"""How an order is read, what a shop can change, and what a broken reader breaks: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from salesman.basket.models import Basket
from salesman.orders.models import Order, OrderItem

from django_topsort.outbox.models import OutboxEvent
from django_topsort.purchases.rules import build_purchase
from django_topsort.signals import event_recorded
from django_topsort.testing import FakeApi
from tests.shops.salesman.models import Product, Variant
from tests.shops.salesman.shopping import Shopper, get_items, get_purchases, tell_webhook

READERS = "tests.shops.salesman.readers"


def get_parent_code(product: Product | Variant) -> str:
    return product.parent.code if isinstance(product, Variant) else product.code


def get_state() -> object:
    """Return what the shop has in its tables, but for what differs from order to order."""
    orders = Order.objects.values_list("status", "total", "items__total", "items__quantity")
    payments = Order.objects.values_list("payments__amount", "payments__transaction_id")
    return list(orders), list(payments), Basket.objects.count()


def buy_by_card(shopper: Shopper, product: Product) -> str:
    shopper.add(product, 2)
    ref = str(shopper.check_out("credit-card")["ref"])
    tell_webhook("credit-card/webhook", ref=ref, id="t-1")
    return ref


@pytest.fixture
def healthy(shopper: Shopper, teapot: Product) -> object:
    """The state of a shop in which nothing is broken, after one order by card."""
    buy_by_card(shopper, teapot)
    state = get_state()
    Order.objects.all().delete()
    OutboxEvent.objects.all().delete()
    return state


def test_impressions_and_purchases_name_products_alike(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)
    shopper.check_out("pay-on-delivery")

    (purchase,) = get_purchases(api)
    (impression,) = api.impressions
    assert purchase["items"][0]["productId"] == impression["entity"]["id"] == "teapot"
    assert purchase["opaqueUserId"] == impression["opaqueUserId"]


def test_variant_is_reported_as_its_parent_where_the_shop_says_so(
    api: FakeApi, shopper: Shopper, teapot: Product, large: Variant, settings: Any
) -> None:
    settings.TOPSORT_PRODUCT_ID = get_parent_code
    shopper.add(teapot)
    shopper.add(large)
    shopper.check_out("pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15), ("teapot", 1, 20)]


def test_product_that_is_gone_or_has_another_code_is_reported_as_it_was_bought(
    api: FakeApi, shopper: Shopper, teapot: Product, large: Variant
) -> None:
    shopper.add(teapot)
    shopper.add(large)
    found = shopper.check_out("pay-in-advance")
    large.delete()
    Product.objects.update(code="kettle")

    change = Order.objects.get(ref=found["ref"])
    change.status = "PROCESSING"
    change.save(update_fields=["status"])

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15), ("teapot-large", 1, 20)]


def test_line_of_a_model_that_is_gone_is_reported(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)
    order = Order.objects.get(ref=shopper.check_out("pay-in-advance")["ref"])
    gone = ContentType.objects.create(app_label="gone", model="thing")
    OrderItem.objects.update(product_content_type=gone)

    order.status = "PROCESSING"
    order.save()

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15)]


def test_line_without_a_code_goes_by_that_of_its_product(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)
    order = Order.objects.get(ref=shopper.check_out("pay-in-advance")["ref"])
    OrderItem.objects.update(product_data={})

    order.status = "PROCESSING"
    order.save()

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15)]


def test_shop_says_which_statuses_count(
    api: FakeApi, shopper: Shopper, teapot: Product, settings: Any, drops: list[object]
) -> None:
    settings.TOPSORT_ORDER_READER = f"{READERS}.PlacedOrderReader"
    shopper.add(teapot)
    ref = shopper.check_out("pay-in-advance")["ref"]

    assert [purchase["id"] for purchase in get_purchases(api)] == [ref]

    order = Order.objects.get()
    order.status = "PROCESSING"
    order.save()
    order.save()
    order.pay(order.total, "t-1")
    assert len(get_purchases(api)) == 1
    assert drops == []


def test_function_that_reads_orders_says_what_counts(
    api: FakeApi, shopper: Shopper, teapot: Product, settings: Any
) -> None:
    settings.TOPSORT_ORDER_READER = f"{READERS}.read_order"
    shopper.add(teapot)
    ref = shopper.check_out("pay-later")["ref"]

    (purchase,) = get_purchases(api)
    assert purchase["id"] == f"own-{ref}"
    assert get_items(purchase) == [("own-teapot", 1, 15)]


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize(
    "reader", [f"{READERS}.BrokenReader", f"{READERS}.QueryingReader", "nowhere.Reader"]
)
def test_reader_that_raises_leaves_the_shop_as_it_would_be(
    api: FakeApi,
    shopper: Shopper,
    teapot: Product,
    healthy: object,
    settings: Any,
    reader: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.TOPSORT_ORDER_READER = reader

    ref = buy_by_card(shopper, teapot)

    assert get_state() == healthy
    assert f"order={ref}" in caplog.text
    assert shopper.id not in caplog.text


@pytest.fixture
def broken_receiver() -> Iterator[None]:
    def fail(**kwargs: object) -> None:
        raise ValueError("the receiver is broken")

    event_recorded.connect(fail)
    yield
    event_recorded.disconnect(fail)


@pytest.mark.usefixtures("requests")
def test_receiver_that_raises_leaves_the_shop_as_it_would_be(
    api: FakeApi, shopper: Shopper, teapot: Product, healthy: object, request: Any
) -> None:
    request.getfixturevalue("broken_receiver")

    ref = buy_by_card(shopper, teapot)

    assert get_state() == healthy
    assert ref in [purchase["id"] for purchase in get_purchases(api)]


@pytest.fixture
def without_table() -> Iterator[Callable[[], None]]:
    """Take the outbox's table away, and bring it back."""
    table = OutboxEvent._meta.db_table
    moved = []

    def move() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO moved")
        moved.append(table)

    yield move
    for name in moved:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE moved RENAME TO {name}")


@pytest.mark.usefixtures("requests")
def test_outbox_that_is_not_migrated_leaves_the_shop_as_it_would_be(
    api: FakeApi,
    shopper: Shopper,
    teapot: Product,
    healthy: object,
    without_table: Callable[[], None],
) -> None:
    without_table()

    ref = buy_by_card(shopper, teapot)

    assert get_state() == healthy
    api.wait_for(1, "purchases")
    assert api.purchases[-1]["id"] == ref


def test_order_of_many_products_is_read_with_as_many_queries(
    shopper: Shopper, teapot: Product, large: Variant
) -> None:
    counts = []
    for added in (0, 20):
        for nth in range(added):
            shopper.add(Product.objects.create(name="Cup", code=f"cup-{nth}", price=2))
        shopper.add(teapot)
        shopper.add(large)
        order = Order.objects.get(ref=shopper.check_out("pay-on-delivery")["ref"])
        with CaptureQueriesContext(connection) as queries:
            purchase = build_purchase(order, opaque_user_id="u-1")
        assert purchase is not None
        assert len(purchase.items) == added + 2
        counts.append(len(queries))

    assert counts[0] == counts[1]
