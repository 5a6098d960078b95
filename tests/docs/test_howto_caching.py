"""docs/howto/caching.md: what is kept by caches, and for whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils.module_loading import import_string

from tests.docs.guides import Project, get_keys, get_text
from tests.shop.models import Product

BLOCKS = [
    "shop/views.py",
    "shop/templates/category.html",
    "shop/templates/sponsored.html",
    "shop/templates/fragments.html",
    "console",
]
WINNERS = """
from tests.shop.models import Product


def get_winners(request):
    product = Product(pk=1, name="Kettle")
    product.bid = request.GET.get("bid", "bid-1")
    return [product]
"""

pytestmark = pytest.mark.django_db


def show_fragments(request: HttpRequest) -> HttpResponse:
    """A page of which a part is kept."""
    sponsored = [SimpleNamespace(pk=9, name="Pan", bid=request.GET["bid"])]
    products = Product.objects.order_by("pk")
    return render(request, "fragments.html", {"products": products, "sponsored": sponsored})


def show_text(request: HttpRequest) -> HttpResponse:
    return render(request, "text.html")


@pytest.fixture
def shop(project: Project) -> Iterator[Project]:
    cache.clear()
    project.follow("caching")
    project.write("shop/auctions.py", WINNERS)
    urls = (
        path("kitchen/", import_string("shop.views.show_category")),
        path("kitchen/sponsored/", import_string("shop.views.show_sponsored")),
        path("fragments/", show_fragments),
        path("text/", show_text),
    )
    Product.objects.create(name="Teapot")
    with project.use(*urls):
        yield project


def test_guide_has_these_blocks() -> None:
    assert get_keys("caching") == BLOCKS


def test_organic_page_is_kept_for_all(shop: Project) -> None:
    with CaptureQueriesContext(connection) as queries:
        first: Any = shop.shopper().get("/kitchen/")
        asked = len(queries)
        again: Any = shop.shopper().get("/kitchen/")

    assert (asked, len(queries)) == (1, 1)
    assert again.content == first.content
    for response in (first, again):
        assert response["Cache-Control"] == "public, max-age=300"
        assert "Vary" not in response
        assert not response.cookies
    assert b"data-ts-product" in again.content
    assert b"data-ts-page" in again.content


def test_part_with_a_bid_is_kept_for_nobody_else(shop: Project) -> None:
    response: Any = shop.shopper().get("/kitchen/sponsored/?bid=bid-2")

    assert b"data-ts-resolved-bid='bid-2'" in response.content
    assert b'"component":"sponsored"' in response.content
    assert response["Cache-Control"] == "private"
    assert response["Vary"] == "Cookie"
    assert "tsuid" in response.cookies


def test_fragment_is_kept_and_what_stands_outside_is_not(shop: Project) -> None:
    shopper = shop.shopper()
    with CaptureQueriesContext(connection) as queries:
        first: Any = shopper.get("/fragments/?bid=bid-1")
        second: Any = shopper.get("/fragments/?bid=bid-2")

    assert len(queries) == 1
    assert re.findall(r"bid-\d", first.content.decode()) == ["bid-1"]
    assert re.findall(r"bid-\d", second.content.decode()) == ["bid-2"]
    assert second.content.count(b"data-ts-product") == 2
    assert second["Cache-Control"] == "private"


@pytest.mark.parametrize(
    "tag",
    ['topsort_impression "p-1"', "topsort_pageview", 'topsort_attrs "p-1" resolved_bid_id="b"'],
)
def test_page_that_asks_who_the_shopper_is_is_private(shop: Project, tag: str) -> None:
    shop.write("shop/templates/text.html", f"{{% load topsort %}}{{% {tag} %}}")

    response: Any = shop.shopper().get("/text/")

    assert response["Cache-Control"] == "private"
    assert response["Vary"] == "Cookie"
    assert "tsuid" in response.cookies


def test_page_for_a_crawler_is_private(shop: Project) -> None:
    response: Any = Client(headers={"user-agent": "Googlebot/2.1"}).get("/kitchen/")

    assert "private" in response["Cache-Control"]
    assert not response.cookies
    assert b"data-ts" not in response.content
    answer: Any = shop.shopper().get("/kitchen/")
    assert b"data-ts" in answer.content


def test_nothing_below_topsort_is_kept(shop: Project) -> None:
    shop.write(
        "shop/templates/text.html", '{% load topsort %}{% topsort_click_url "/p-1/" "p-1" %}'
    )
    shopper = shop.shopper()
    link: Any = shopper.get("/text/").content.decode()
    click = shopper.get(link)
    answer = shopper.post("/topsort/v2/events", "{}", content_type="application/json")

    assert "no-store" in click["Cache-Control"]
    assert "no-store" in answer["Cache-Control"]


def test_command_of_the_guide_shows_the_headers_of_the_table(shop: Project) -> None:
    command = get_text("caching", "console")
    (address,) = re.findall(r"http://127.0.0.1:8000(/\S+)", command)
    (agent,) = re.findall(r'-A "([^"]+)"', command)
    (expression,) = re.findall(r'grep -iE "([^"]+)"', command)

    response = Client(headers={"user-agent": agent}).get(address)
    lines = [f"{name}: {value}" for name, value in response.items()]

    assert [line for line in lines if re.search(expression, line, re.IGNORECASE)] == [
        "Cache-Control: public, max-age=300"
    ]
