from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject
from pytest_django import Settings

from django_topsort.exceptions import InvalidEvent
from django_topsort.orders import report_order
from django_topsort.purchases.products import get_product_id, get_product_reader
from django_topsort.purchases.reader import OrderReader, get_reader
from django_topsort.purchases.registry import register_product_id, register_reader
from django_topsort.purchases.values import read_id
from django_topsort.testing import capture_events
from django_topsort.tracking import track_impression
from tests.purchases.shapes import PLACED_AT
from tests.shop.models import Line, Order, Product


class ShopReader(OrderReader):
    def get_key(self, order: Any) -> str:
        return f"shop-{order.number}"


class OtherReader(OrderReader):
    """The one that a project names."""


class ProxyOrder(Order):
    class Meta:
        app_label = "shop"
        proxy = True


def name_by_vendor(product: Any) -> str | None:
    return None if product.vendor_id is None else f"v{product.vendor_id}-{product.pk}"


@pytest.fixture
def registered() -> Iterator[None]:
    register_reader("shop.Order", ShopReader)
    register_product_id("shop.Product", name_by_vendor)
    yield
    register_reader("shop.Order", None)
    register_product_id("shop.Product", None)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("order", [Order(), ProxyOrder(), SimpleLazyObject(Order)])
def test_registered_reader_reads_the_orders_of_its_model(order: object) -> None:
    assert type(get_reader(order)) is ShopReader


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("order", [Line(), SimpleNamespace(number="1"), {"number": "1"}, "1", None])
def test_registered_reader_reads_nothing_else(order: object) -> None:
    assert type(get_reader(order)) is OrderReader


@pytest.mark.usefixtures("registered")
def test_registered_reader_stands_behind_the_one_of_the_settings(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = OtherReader
    assert type(get_reader(Order())) is OtherReader
    for default in ("django_topsort.purchases.reader.OrderReader", None):
        settings.TOPSORT_ORDER_READER = default
        assert type(get_reader(Order())) is ShopReader


def test_registered_reader_is_gone_when_it_is_taken_back() -> None:
    register_reader("shop.Order", ShopReader)
    register_reader("shop.order", None)
    register_reader("shop.order", None)
    assert type(get_reader(Order())) is OrderReader


@pytest.mark.usefixtures("registered")
def test_registered_function_names_the_products_of_its_model(settings: Settings) -> None:
    assert get_product_id(Product(pk=5, vendor_id=2)) == "v2-5"
    assert get_product_id(SimpleNamespace(pk="5", vendor_id=2)) == "5"
    assert get_product_id("5") == "5"
    settings.TOPSORT_PRODUCT_ID = read_id
    assert get_product_id(Product(pk=5, vendor_id=2)) == "5"


def test_product_reader_looks_nothing_up_where_nothing_is_registered() -> None:
    assert get_product_reader() is read_id


@pytest.mark.usefixtures("registered")
def test_registered_function_that_knows_no_id_is_an_error_of_the_page(
    settings: Settings,
) -> None:
    settings.TOPSORT_STRICT = True
    with pytest.raises(InvalidEvent, match="product"):
        track_impression(RequestFactory().get("/"), Product(pk=5))


@pytest.mark.django_db
@pytest.mark.usefixtures("registered")
def test_product_has_one_id_in_the_impression_and_in_the_purchase() -> None:
    product = Product.objects.create(name="Kettle", vendor_id=2)
    order = Order.objects.create(number="1001", date_placed=PLACED_AT)
    Line.objects.create(order=order, product=product, quantity=1, line_price_incl_tax=5)
    with capture_events() as events:
        impression = track_impression(RequestFactory().get("/"), product)
        report_order(order, opaque_user_id="shopper")
    assert impression is not None
    assert impression.entity is not None
    (purchase,) = events.purchases
    assert purchase.id == "shop-1001"
    assert purchase.items[0].product_id == impression.entity.id == f"v2-{product.pk}"
