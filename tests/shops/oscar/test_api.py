"""Orders that are placed through django-oscar-api."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from oscar.apps.partner import strategy
from pytest_django import Settings

from django_topsort.delivery import flush
from django_topsort.testing import FakeApi
from tests.shops.oscar.shoppers import Catalogue, Shopper, get_order


def buy(client: Client, catalogue: Catalogue, product: Any) -> Any:
    """Buy as an app does, and return the order."""
    url = f"http://testserver{reverse('product-detail', args=[product.pk])}"
    added = client.post(
        reverse("api-basket-add-product"),
        {"url": url, "quantity": 2},
        content_type="application/json",
    )
    assert added.status_code == 200, added.content
    basket = client.get(reverse("api-basket")).json()
    country = f"http://testserver{reverse('country-detail', args=[catalogue.country.pk])}"
    data: dict[str, Any] = {
        "basket": basket["url"],
        "shipping_address": {
            "first_name": "Ada",
            "last_name": "Miller",
            "line1": "1 Egg Road",
            "line4": "London",
            "postcode": "N1 9RT",
            "country": country,
        },
    }
    if "_auth_user_id" not in client.session:
        data["guest_email"] = "guest@example.com"
    done = client.post(reverse("api-checkout"), data, content_type="application/json")
    assert done.status_code == 200, done.content
    return get_order()


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic requests"])
def _transactions(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", request.param)


@pytest.mark.usefixtures("_transactions")
@pytest.mark.parametrize("is_guest", [True, False])
def test_order_of_the_api_is_a_purchase_of_the_shopper(
    api: FakeApi,
    shopper: Shopper,
    catalogue: Catalogue,
    drops: list[tuple[str, str, int]],
    *,
    is_guest: bool,
) -> None:
    if not is_guest:
        shopper.log_in()
    kettle = catalogue.add("kettle", "29.90")
    shopper.look_at(kettle)
    order = buy(shopper.client, catalogue, kettle)
    api.wait_for(1, "purchases")
    (purchase,) = api.purchases
    assert purchase["id"] == order.number
    assert purchase["opaqueUserId"] == shopper.cookie
    assert purchase["items"][0]["unitPrice"] == Decimal("29.90")
    assert drops == []


@pytest.mark.usefixtures("_transactions")
def test_order_is_reported_where_the_strategy_drops_the_request(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy.Selector, "strategy", lambda self, **kwargs: strategy.Default())
    kettle = catalogue.add("kettle")
    shopper.look_at(kettle)
    buy(shopper.client, catalogue, kettle)
    api.wait_for(1, "purchases")
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


def test_order_of_the_api_that_is_paid_later_is_reported_then(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, settings: Settings
) -> None:
    settings.TOPSORT_ORDER_READER = "tests.shops.oscar.readers.PaidReader"
    kettle = catalogue.add("kettle")
    shopper.look_at(kettle)
    order = buy(shopper.client, catalogue, kettle)
    assert flush()
    assert api.purchases == []
    order.set_status("Paid")
    api.wait_for(1, "purchases")
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


def test_client_of_the_api_that_keeps_no_cookie_is_nobody(
    api: FakeApi, catalogue: Catalogue, shopper: Shopper, drops: list[tuple[str, str, int]]
) -> None:
    buy(shopper.client, catalogue, catalogue.add("kettle"))
    assert flush()
    assert api.purchases == []
    assert ("purchases", "no_shopper", 1) in drops
