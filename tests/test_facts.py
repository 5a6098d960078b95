"""What a request adds to its events, and how ids are read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

from django_topsort.arguments import (
    CLICK_FIELDS,
    EVENT_FIELDS,
    IMPRESSION_FIELDS,
    PLACEMENT_FIELDS,
)
from django_topsort.backends.locmem import outbox
from django_topsort.collector import Collector
from django_topsort.events import Entity, Placement
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import get_collector, get_request_shopper
from django_topsort.tracking import set_placement, track_impression, track_pageview
from tests.shop.models import Product

UUID_ID = UUID("0190d8f2-0000-7000-8000-000000000000")


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().get("/shoes/")


def get_sku(product: Product) -> str | None:
    return product.sku or None


def test_collector_of_a_request_without_the_middleware_passes_events_on(
    request_: HttpRequest,
) -> None:
    collector = get_collector(request_)

    assert collector.is_closed
    assert get_collector(request_) is collector
    assert track_pageview(request_) in outbox


def test_collector_of_a_request_is_the_middlewares(request_: HttpRequest) -> None:
    collector = request_.topsort = Collector(outbox.extend)  # type: ignore[attr-defined]

    event = track_pageview(request_)

    assert get_collector(request_) is collector
    assert len(collector) == 1
    collector.close()
    assert outbox == [event]


def test_shopper_is_the_same_as_long_as_the_request_lasts(request_: HttpRequest) -> None:
    collector = get_collector(request_)

    first = get_request_shopper(request_, collector)

    assert first.source == "minted"
    assert get_request_shopper(request_, collector) == first


def test_names_of_arguments() -> None:
    assert {"id", "occurred_at", "opaque_user_id", "device_type", "channel"} == EVENT_FIELDS
    assert IMPRESSION_FIELDS > EVENT_FIELDS | PLACEMENT_FIELDS
    assert IMPRESSION_FIELDS | {"click_type"} == CLICK_FIELDS


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("shoes", ("shoes",)),
        (mark_safe("shoes"), ("shoes",)),
        (lazystr("shoes"), ("shoes",)),
        (5, ("5",)),
        (UUID_ID, (str(UUID_ID),)),
        (Product(pk=5), ("5",)),
        ({"id": 5, "name": "shoes"}, ("5",)),
        (["shoes", 5, UUID_ID, Product(pk=6)], ("shoes", "5", str(UUID_ID), "6")),
        ((name for name in ("a", "b")), ("a", "b")),
    ],
)
def test_category_ids_are_read_in_many_forms(
    request_: HttpRequest, given: Any, read: tuple[str, ...] | None
) -> None:
    event = track_impression(request_, "1", category_ids=given)

    assert event is not None
    assert event.placement == Placement(path="/shoes/", category_ids=read)


@pytest.mark.parametrize(
    ("page_type", "value", "read"),
    [
        ("search", "red shoes ", "red shoes "),
        ("search", lazystr("red"), "red"),
        ("category", 5, "5"),
        ("category", Product(pk=5), "5"),
        ("PDP", Product(pk=5), "5"),
        ("PDP", "sku", "sku"),
        ("cart", [], None),
        ("cart", [Product(pk=5), 6], ("5", "6")),
        ("cart", "sku", "sku"),
        ("home", "", None),
    ],
)
def test_value_of_a_page_is_read_in_many_forms(
    request_: HttpRequest, page_type: str, value: object, read: object
) -> None:
    event = track_pageview(request_, page_type, value=value)

    assert event is not None
    assert event.page.value == read


@override_settings(TOPSORT_PRODUCT_ID="tests.test_facts.get_sku")
def test_products_have_the_same_ids_everywhere(request_: HttpRequest) -> None:
    shoe, unknown = Product(pk=1, sku="shoe-1"), Product(pk=2)

    impression = track_impression(request_, shoe, product_id=shoe)
    bare = track_impression(request_, shoe, product_id=unknown)
    product_page = track_pageview(request_, "PDP", value=shoe)
    cart = track_pageview(request_, "cart", value=[shoe, unknown, "shoe-3"])
    category = track_pageview(request_, "category", value=shoe)

    assert impression is not None
    assert impression.entity is not None
    assert impression.entity.id == "shoe-1"
    assert impression.placement == Placement(path="/shoes/", product_id="shoe-1")
    assert bare is not None
    assert bare.placement == Placement(path="/shoes/")
    assert product_page is not None
    assert product_page.page.value == "shoe-1"
    assert cart is not None
    assert cart.page.value == ("shoe-1", "shoe-3")
    assert category is not None
    assert category.page.value == "1"


@pytest.mark.parametrize(
    ("page_id", "read"),
    [(None, "/shoes/"), ("", "/shoes/"), (5, "5"), (Product(pk=6), "6"), (" home ", "home")],
)
def test_page_id_is_the_path_unless_given(
    request_: HttpRequest, page_id: object, read: str
) -> None:
    event = track_pageview(request_, "home", page_id)

    assert event is not None
    assert event.page.page_id == read


@pytest.mark.parametrize(
    ("path", "component", "read"),
    [
        ("/shoes/", "carousel", "/shoes/carousel"),
        ("/shoes", "/carousel/", "/shoes/carousel"),
        ("/", "carousel", "/carousel"),
        ("/shoes/", None, "/shoes/"),
        ("/shoes/", 2, "/shoes/2"),
    ],
)
def test_component_follows_the_path(path: str, component: Any, read: str) -> None:
    event = track_impression(RequestFactory().get(path), "1", component=component)

    assert event is not None
    assert event.placement == Placement(path=read)


def test_component_fits_on_a_path_of_any_length() -> None:
    request = RequestFactory().get("/" + "x" * 5000)

    event = track_impression(request, "1", component="carousel")

    assert event is not None
    assert event.placement is not None
    assert len(event.placement.path) == 2048
    assert event.placement.path.endswith("x/carousel")


def test_missing_variables_of_a_template_are_absent(request_: HttpRequest) -> None:
    event = track_impression(
        request_,
        "1",
        resolved_bid_id="",
        path="",
        component="",
        position="",  # type: ignore[arg-type]
        page="",  # type: ignore[arg-type]
        page_size=None,  # type: ignore[arg-type]
        product_id="",
        category_ids="",
        search_query="",
    )

    assert event is not None
    assert event.placement == Placement(path="/shoes/")


def endless() -> Iterator[str]:
    return map("shoe-{}".format, itertools.count(1))


@pytest.mark.parametrize("product_id", [None, lambda product: None])
@pytest.mark.parametrize(
    ("field", "track"),
    [
        ("placement.category_ids", lambda r: track_impression(r, "1", category_ids=endless())),
        ("page.value", lambda r: track_pageview(r, "cart", value=endless())),
        ("page.value", lambda r: track_pageview(r, "cart", value=(Product() for _ in endless()))),
        ("page.value", lambda r: track_pageview(r, "category", value=endless())),
        ("placement.category_ids", lambda r: set_placement(r, category_ids=endless())),
    ],
)
def test_endless_list_is_refused(
    request_: HttpRequest,
    field: str,
    track: Callable[[HttpRequest], object],
    product_id: Callable[[object], None] | None,
) -> None:
    with (
        override_settings(TOPSORT_STRICT=True, TOPSORT_PRODUCT_ID=product_id),
        pytest.raises(InvalidEvent, match="it must hold at most") as caught,
    ):
        track(request_)

    assert caught.value.field == field


def test_list_of_as_many_as_are_allowed_is_read(request_: HttpRequest) -> None:
    event = track_impression(request_, "1", category_ids=itertools.islice(endless(), 100))

    assert event is not None
    assert event.placement is not None
    assert len(event.placement.category_ids or ()) == 100


@pytest.mark.parametrize("hook", [None, "tests.test_facts.get_sku"])
def test_lazy_text_is_a_product(request_: HttpRequest, hook: str | None) -> None:
    with override_settings(TOPSORT_PRODUCT_ID=hook, TOPSORT_STRICT=True):
        impression = track_impression(request_, lazystr("shoe-1"), product_id=lazystr("shoe-2"))
        vendor = track_impression(request_, lazystr("v-1"), entity_type="vendor")
        cart = track_pageview(request_, "cart", value=[lazystr("shoe-1"), "shoe-2"])

    assert impression is not None
    assert impression.entity == Entity(id="shoe-1", type="product")
    assert impression.placement == Placement(path="/shoes/", product_id="shoe-2")
    assert vendor is not None
    assert vendor.entity == Entity(id="v-1", type="vendor")
    assert cart is not None
    assert cart.page.value == ("shoe-1", "shoe-2")
