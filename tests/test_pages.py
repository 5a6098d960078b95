"""Pages of one shopper are in no cache of others; pages of all may be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path
from django.views.decorators.cache import cache_control, cache_page
from rest_framework.request import Request

from django_topsort.attributes import build_attrs
from django_topsort.bids import read_bid
from django_topsort.exceptions import InvalidToken
from django_topsort.tracking import track_pageview

OURS = "django_topsort.middleware.TopsortMiddleware"
UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
CRAWLER = {"user-agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}

ORGANIC = "{% topsort_script 'home' %}<li {% topsort_attrs '7' position=1 %}></li>"
SPONSORED = ORGANIC + "<li {% topsort_attrs '8' resolved_bid_id=bid %}></li>"
LINKED = "<a href='{% topsort_click_url '/8/' '8' resolved_bid_id=bid %}'></a>"
FRAGMENT = "{% load cache %}{% cache 500 cards %}" + SPONSORED + "{% endcache %}"
PAGES = {"organic": ORGANIC, "sponsored": SPONSORED, "linked": LINKED, "fragment": FRAGMENT}


class Auctions:
    """Gives each page a bid of its own."""

    count = 0


def show(request: HttpRequest, name: str) -> HttpResponse:
    Auctions.count += 1
    template = engines["django"].from_string("{% load topsort %}" + PAGES[name])
    return HttpResponse(template.render({"bid": f"bid-{Auctions.count}"}, request))


def show_late(request: HttpRequest, name: str) -> TemplateResponse:
    Auctions.count += 1
    template = engines["django"].from_string("{% load topsort %}" + PAGES[name])
    return TemplateResponse(request, template, {"bid": f"bid-{Auctions.count}"})


async def show_async(request: HttpRequest, name: str) -> HttpResponse:
    return show(request, name)


def show_tracked(request: HttpRequest) -> HttpResponse:
    track_pageview(request)
    return render(request, "django_topsort/click_refused.html")


urlpatterns = [
    path("topsort/", include("django_topsort.urls")),
    path("tracked/", show_tracked),
    path("<str:name>/", show),
    path("<str:name>/late/", show_late),
    path("<str:name>/async/", show_async),
    path("<str:name>/public/", cache_control(public=True, max_age=60)(show)),
    path("<str:name>/cached/", cache_page(500)(show)),
    path("<str:name>/cached/late/", cache_page(500)(show_late)),
]

pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("_static_url"),
]


@pytest.fixture
def _static_url(settings: Any) -> None:
    settings.STATIC_URL = "/static/"


@pytest.fixture
def client() -> Client:
    return Client(headers=BROWSER)


def read_vary(response: HttpResponseBase) -> set[str]:
    return {name for name in response.get("Vary", "").split(", ") if name}


def read_bids(response: Any) -> list[str]:
    return re.findall("data-ts-resolved-bid='([^']*)'", response.content.decode())


def is_private(response: HttpResponseBase) -> bool:
    return "private" in response.get("Cache-Control", "").split(", ")


@pytest.mark.parametrize("way", ["", "late/", "public/"])
def test_page_with_a_bid_is_private(client: Client, way: str) -> None:
    response = client.get(f"/sponsored/{way}")

    assert is_private(response)
    assert "public" not in response["Cache-Control"]
    assert read_vary(response) == {"Cookie"}
    assert "tsuid" in response.cookies


async def test_page_of_an_async_view_with_a_bid_is_private() -> None:
    response = await AsyncClient(headers=BROWSER).get("/sponsored/async/")

    assert is_private(response)
    assert read_vary(response) == {"Cookie"}


@override_settings(TOPSORT_USER_ID=lambda request: "account-7")
def test_page_with_a_bid_is_private_also_where_no_cookie_is_set(client: Client) -> None:
    response = client.get("/sponsored/")

    assert is_private(response)
    assert read_vary(response) == {"Cookie"}
    assert response.cookies == {}


@pytest.mark.parametrize("way", ["", "late/"])
def test_organic_page_is_everybodys_and_needs_no_cookie(client: Client, way: str) -> None:
    response = client.get(f"/organic/{way}")

    assert "data-ts-product='7'" in response.content.decode()
    assert "topsort.js" in response.content.decode()
    assert "Cache-Control" not in response.headers
    assert read_vary(response) == set()
    assert response.cookies == {}


def test_organic_page_keeps_what_the_shop_says_of_it(client: Client) -> None:
    assert client.get("/organic/public/")["Cache-Control"] == "public, max-age=60"


def test_page_without_the_attributes_is_not_kept_for_others(client: Client) -> None:
    response = client.get("/organic/", headers=CRAWLER)

    assert "data-ts-product" not in response.content.decode()
    assert is_private(response)
    assert read_vary(response) == set()


ORDERS = {
    "ours first": [OURS, UPDATE, *settings.MIDDLEWARE[1:], FETCH],
    "theirs first": [UPDATE, OURS, *settings.MIDDLEWARE[1:], FETCH],
}
in_both_orders = pytest.mark.parametrize("order", ORDERS)


@in_both_orders
@pytest.mark.parametrize("way", ["", "late/"])
def test_djangos_cache_keeps_no_page_with_a_bid(order: str, way: str) -> None:
    with override_settings(MIDDLEWARE=ORDERS[order]):
        pages = [Client(headers=BROWSER).get(f"/sponsored/{way}") for _ in range(2)]

    first, second = map(read_bids, pages)
    assert first != second
    assert all(map(is_private, pages))


@in_both_orders
def test_djangos_cache_keeps_no_click_link_with_a_bid(order: str) -> None:
    with override_settings(MIDDLEWARE=ORDERS[order]):
        pages = [Client(headers=BROWSER).get("/linked/") for _ in range(2)]

    assert pages[0].content != pages[1].content
    assert all(map(is_private, pages))


@in_both_orders
@pytest.mark.parametrize("way", ["", "late/"])
def test_djangos_cache_keeps_organic_pages(order: str, way: str) -> None:
    with override_settings(MIDDLEWARE=ORDERS[order]):
        Client(headers=BROWSER).get(f"/organic/{way}")
        count = Auctions.count
        response = Client(headers=BROWSER).get(f"/organic/{way}")

    assert Auctions.count == count
    assert "data-ts-product='7'" in response.content.decode()
    assert response.cookies == {}


@in_both_orders
def test_djangos_cache_gives_no_crawlers_page_to_shoppers(order: str) -> None:
    with override_settings(MIDDLEWARE=ORDERS[order]):
        Client(headers=CRAWLER).get("/organic/")
        response = Client(headers=BROWSER).get("/organic/")

    assert "data-ts-product='7'" in response.content.decode()


@pytest.mark.parametrize("way", ["", "late/"])
def test_cache_page_keeps_no_page_with_a_bid(way: str) -> None:
    pages = [Client(headers=BROWSER).get(f"/sponsored/cached/{way}") for _ in range(2)]

    first, second = map(read_bids, pages)
    assert first != second
    assert not any("max-age" in page["Cache-Control"] for page in pages)


def test_cache_page_keeps_organic_pages() -> None:
    for _ in range(2):
        response = Client(headers=BROWSER).get("/organic/cached/")
        count = Auctions.count

    Client(headers=BROWSER).get("/organic/cached/")
    assert Auctions.count == count
    assert "data-ts-product='7'" in response.content.decode()


def test_page_that_django_had_stored_is_still_given_out(client: Client) -> None:
    """The mark is for pages that are made: what was stored without a bid stays."""
    with override_settings(MIDDLEWARE=ORDERS["ours first"]):
        first = client.get("/organic/")
        client.get("/sponsored/")
        second = client.get("/organic/")

    assert first.content == second.content


@override_settings(TOPSORT_REQUIRE_SIGNED_BIDS=True)
def test_fragment_repeats_one_shoppers_bid_which_counts_for_nobody_else() -> None:
    """A fragment is kept whatever is in it, so bids do not belong there."""
    shoppers = [Client(headers=BROWSER) for _ in range(2)]
    (bid,), (same,) = (read_bids(shopper.get("/fragment/")) for shopper in shoppers)

    assert bid == same
    owner, other = shoppers
    assert read_bid(bid, [owner.cookies["tsuid"].value]).startswith("bid-")
    # The tag has not run for the other: the page has told nobody that it is one shopper's.
    assert "tsuid" not in other.cookies
    with pytest.raises(InvalidToken) as caught:
        read_bid(bid, ["the-other"])
    assert caught.value.reason == "foreign"


def test_fragment_of_organic_products_is_fine() -> None:
    cache.clear()
    organic = FRAGMENT.replace(SPONSORED, ORGANIC)
    PAGES["organic-fragment"] = organic
    pages = [Client(headers=BROWSER).get("/organic-fragment/") for _ in range(2)]

    assert pages[0].content == pages[1].content
    assert not any(map(is_private, pages))


def test_page_that_rest_framework_renders_is_kept_for_its_shopper_too() -> None:
    own: Any = RequestFactory().get("/", headers=BROWSER)

    build_attrs(Request(own), "7", resolved_bid_id="bid")

    assert own._cache_update_cache is False


def test_page_that_asked_for_the_shopper_is_private(client: Client) -> None:
    response = client.get("/tracked/")

    assert is_private(response)
    assert read_vary(response) == {"Cookie"}
