"""Oscar's own pages report themselves and what they list."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.template import engines
from django.test import Client
from django.urls import reverse
from oscar.core.loading import get_model
from pytest_django import Settings

from django_topsort.events import Event, Impression, PageView, Placement
from django_topsort.testing import capture_events
from tests.shops.oscar.shoppers import Catalogue, Shopper


@pytest.fixture
def products(catalogue: Catalogue) -> list[Any]:
    return [catalogue.add(f"kettle {number}") for number in range(3)]


class Shown(NamedTuple):
    """What an impression says."""

    product: str | None
    bid: str | None
    place: Placement


def read(impression: Impression) -> Shown:
    assert impression.placement is not None
    entity = impression.entity
    return Shown(entity.id if entity else None, impression.resolved_bid_id, impression.placement)


def get(client: Client, url: str) -> tuple[PageView, list[Shown]]:
    """Open a page; return its only page view, and its impressions."""
    with capture_events() as events:
        response = client.get(url)
    assert response.status_code == 200
    (pageview,) = events.pageviews
    assert len(events) == 1 + len(events.impressions)
    return pageview, [read(impression) for impression in events.impressions]


def get_products(impressions: list[Shown]) -> list[str | None]:
    return [impression.product for impression in impressions]


def test_category_page_reports_itself_and_each_product_at_its_place(
    client: Client, catalogue: Catalogue, products: list[Any]
) -> None:
    url = catalogue.category.get_absolute_url()
    pageview, impressions = get(client, f"{url}?page=2")
    assert pageview.page.type == "category"
    assert pageview.page.value == str(catalogue.category.pk)
    (impression,) = impressions
    assert impression.place.path == url
    assert impression.place.category_ids == (str(catalogue.category.pk),)
    assert (impression.place.page, impression.place.page_size) == (2, 2)
    assert impression.place.position == 1
    _, others = get(client, url)
    assert [other.place.position for other in others] == [1, 2]
    assert {*get_products(others), *get_products(impressions)} == {str(one.pk) for one in products}


def test_list_shows_the_parent_of_variants(client: Client, catalogue: Catalogue) -> None:
    shirt = catalogue.add("shirt", is_parent=True)
    catalogue.add("small", parent=shirt)
    _, impressions = get(client, catalogue.category.get_absolute_url())
    assert str(shirt.pk) in get_products(impressions)


def test_catalogue_is_the_home_page_where_the_shop_says_so(
    client: Client, products: list[Any], settings: Settings
) -> None:
    pageview, impressions = get(client, reverse("catalogue:index"))
    assert pageview.page.type == "home"
    assert len(impressions) == 2
    settings.OSCAR_HOMEPAGE = "/"
    assert get(client, reverse("catalogue:index"))[0].page.type == "category"


def test_search_page_reports_what_was_searched(client: Client, products: list[Any]) -> None:
    pageview, impressions = get(client, f"{reverse('search:search')}?q=kettle")
    assert pageview.page.type == "search"
    assert pageview.page.value == "kettle"
    assert [one.place.search_query for one in impressions] == ["kettle", "kettle"]
    assert [one.place.position for one in impressions] == [1, 2]


@pytest.mark.parametrize("query", ["", "%20", "x" * 5000, "%00", "%ED%A0%80"])
def test_search_page_takes_any_text(client: Client, products: list[Any], query: str) -> None:
    pageview, _ = get(client, f"{reverse('search:search')}?q={query}")
    assert pageview.page.type == "search"


def test_product_page_reports_itself_and_the_lists_beside_it(
    client: Client, products: list[Any]
) -> None:
    kettle, other, third = products
    recommendations = get_model("catalogue", "ProductRecommendation").objects
    recommendations.create(primary=kettle, recommendation=other)
    client.get(third.get_absolute_url())
    pageview, impressions = get(client, kettle.get_absolute_url())
    assert pageview.page.type == "PDP"
    assert pageview.page.value == str(kettle.pk)
    assert get_products(impressions) == [str(other.pk), str(third.pk)]
    assert {one.place.product_id for one in impressions} == {str(kettle.pk)}
    assert [one.place.path.rpartition("/")[2] for one in impressions] == [
        "recommended",
        "recently-viewed",
    ]


def test_basket_page_reports_what_is_in_it(shopper: Shopper, products: list[Any]) -> None:
    assert get(shopper.client, reverse("basket:summary"))[0].page.value is None
    shopper.put_into_basket(products[0])
    pageview, _ = get(shopper.client, reverse("basket:summary"))
    assert pageview.page.type == "cart"
    assert pageview.page.value == (str(products[0].pk),)


def test_page_of_an_account_is_named_without_its_path(
    shopper: Shopper, products: list[Any]
) -> None:
    shopper.log_in()
    order = shopper.buy(products[0])
    url = reverse("customer:order", kwargs={"order_number": order.number})
    pageview, _ = get(shopper.client, url)
    assert (pageview.page.type, pageview.page.page_id) == ("other", "customer:order")


def test_dashboard_reports_nothing(shopper: Shopper, products: list[Any]) -> None:
    shopper.log_in(is_staff=True, is_superuser=True)
    with capture_events() as events:
        for name in ("dashboard:index", "dashboard:catalogue-product-list"):
            assert shopper.client.get(reverse(name)).status_code == 200
    assert list[Event](events) == []


def test_product_with_a_bid_is_a_sponsored_impression(
    client: Client, catalogue: Catalogue, products: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_model("catalogue", "Product"), "topsort_bid_id", "bid", raising=False)
    _, impressions = get(client, catalogue.category.get_absolute_url())
    assert [one.bid for one in impressions] == ["bid", "bid"]


@pytest.mark.parametrize("is_strict", [True, False])
def test_page_is_shown_though_its_products_have_no_ids(
    client: Client,
    catalogue: Catalogue,
    products: list[Any],
    settings: Settings,
    *,
    is_strict: bool,
) -> None:
    def fail(product: object) -> None:
        raise ZeroDivisionError

    settings.TOPSORT_STRICT = is_strict
    settings.TOPSORT_PRODUCT_ID = fail
    for url in (
        catalogue.category.get_absolute_url(),
        products[0].get_absolute_url(),
        f"{reverse('search:search')}?q=kettle",
    ):
        assert b"kettle" in client.get(url).content


EXTENDING = (
    '{% extends "oscar/catalogue/partials/product.html" %}'
    "{% block product_title %}own{% endblock %}"
)
REPLACING = "{% load topsort_oscar %}{% topsort_oscar_product %}own"


@pytest.mark.parametrize("template", [EXTENDING, REPLACING])
def test_template_of_the_shop_reports_its_products_once(
    client: Client,
    catalogue: Catalogue,
    products: list[Any],
    settings: Settings,
    tmp_path: Path,
    template: str,
) -> None:
    own = tmp_path / "oscar/catalogue/partials/product.html"
    own.parent.mkdir(parents=True)
    own.write_text(template)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    url = catalogue.category.get_absolute_url()
    _, impressions = get(client, url)
    assert len(impressions) == 2
    assert client.get(url).content.count(b"own") >= 2


def test_template_without_a_request_is_rendered() -> None:
    template = "{% load topsort_oscar %}{% topsort_oscar_page %}{% topsort_oscar_product %}mail"
    assert engines["django"].from_string(template).render({}) == "mail"


def test_app_behind_oscar_is_warned_of() -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.shops.oscar.late_settings"}
    done = subprocess.run(
        [sys.executable, "-m", "django", "check", "--tag", "topsort"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "django_topsort.W015" in done.stderr
    assert 'before "oscar.config.Shop"' in done.stderr
