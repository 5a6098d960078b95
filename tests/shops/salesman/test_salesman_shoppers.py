"""Who ordered: what the client says of it counts for nothing, what its cookie says does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from salesman.basket.models import Basket
from salesman.conf import app_settings
from salesman.orders.models import Order

from django_topsort.contrib.salesman.shoppers import keep_shopper
from django_topsort.testing import FakeApi
from tests.shops.salesman.models import Product
from tests.shops.salesman.shopping import JSON, Shopper, get_purchases, tell_webhook

OTHER = "01938a5e-8f6a-7b7e-9d0c-5a1b2c3d4e5f"
FORGED = {
    "topsort_user_id": OTHER,
    "topsort_device_type": "mobile",
    "topsort_channel": "instore",
    "topsort_no_consent": True,
}


@pytest.fixture
def set_validator(settings: Any) -> Iterator[Callable[[str], None]]:
    """Name a SALESMAN_EXTRA_VALIDATOR; Salesman keeps the one that it has once read."""

    def set_it(name: str) -> None:
        settings.SALESMAN_EXTRA_VALIDATOR = f"{__name__}.{name}"
        vars(app_settings).pop("SALESMAN_EXTRA_VALIDATOR", None)

    yield set_it
    vars(app_settings).pop("SALESMAN_EXTRA_VALIDATOR", None)


def accept_gifts_only(value: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    assert context["request"]
    if unknown := set(value) - {"gift", "email", "shipping_address", "billing_address"}:
        raise ValidationError(f"Unknown: {sorted(unknown)}")
    return {name: str(found).upper() for name, found in value.items()}


def test_client_cannot_order_in_the_name_of_another(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)

    found = shopper.check_out("pay-on-delivery", FORGED)

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == shopper.id
    assert purchase["deviceType"] == "desktop"
    assert purchase["channel"] == "onsite"
    assert shopper.get_order(found)["extra"] == {
        "topsort_user_id": shopper.id,
        "topsort_device_type": "desktop",
        "topsort_channel": "onsite",
    }


def test_client_without_a_cookie_cannot_name_one(
    api: FakeApi, teapot: Product, drops: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    program = Shopper()
    program.add(teapot)
    put = program.client.put("/api/basket/extra/", {"extra": FORGED}, JSON)
    assert put.json()["extra"] == {}

    found = program.check_out("pay-on-delivery", FORGED)

    assert get_purchases(api) == []
    assert drops == [("purchases", "no_shopper", 1)]
    assert f"order={found['ref']}" in caplog.text
    assert program.get_order(found)["extra"] == {}


def test_extra_of_the_shop_is_left_alone(api: FakeApi, shopper: Shopper, teapot: Product) -> None:
    item = {
        "product_type": "catalogue.Product",
        "product_id": teapot.pk,
        "extra": {"engraving": "For you", "topsort_user_id": "of the shop's own"},
    }
    shopper.client.post("/api/basket/", item, JSON)
    shopper.client.put("/api/basket/extra/", {"extra": {"gift": "yes", "later": 1}}, JSON)

    found = shopper.check_out("pay-on-delivery", {"later": None})

    order = shopper.get_order(found)
    assert order["extra"]["gift"] == "yes"
    assert "later" not in order["extra"]
    assert order["items"][0]["extra"] == item["extra"]


def test_validator_of_the_shop_is_called_and_sees_nothing_of_ours(
    api: FakeApi, shopper: Shopper, teapot: Product, set_validator: Callable[[str], None]
) -> None:
    set_validator("accept_gifts_only")
    shopper.add(teapot)
    for _ in range(2):
        put = shopper.client.put("/api/basket/extra/", {"extra": {"gift": "yes"}}, JSON)
        assert put.status_code == 200

    refused = shopper.try_checkout("pay-on-delivery", {"surprise": 1})
    found = shopper.check_out("pay-on-delivery")

    assert refused.status_code == 400
    assert "Unknown: ['surprise']" in str(refused.json())
    assert shopper.get_order(found)["extra"]["gift"] == "YES"
    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == shopper.id


def test_validator_that_is_our_function_is_called_as_well(
    api: FakeApi, shopper: Shopper, teapot: Product, set_validator: Callable[[str], None]
) -> None:
    set_validator("keep_shopper")
    shopper.add(teapot)

    shopper.check_out("pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == shopper.id


def test_shopper_who_said_no_is_not_reported_and_not_kept(
    api: FakeApi,
    shopper: Shopper,
    teapot: Product,
    settings: Any,
    drops: list[object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "django_topsort")
    settings.TOPSORT_CONSENT = lambda request: False
    shopper.add(teapot)
    found = shopper.check_out("credit-card")
    settings.TOPSORT_CONSENT = None

    tell_webhook("credit-card/webhook", ref=found["ref"], id="t-1")

    assert get_purchases(api) == []
    assert drops == []
    assert f"order={found['ref']} reason=no_consent" in caplog.text
    assert shopper.get_order(found)["extra"] == {"topsort_no_consent": True}


def test_last_checkout_says_who_orders(api: FakeApi, shopper: Shopper, teapot: Product) -> None:
    user = User.objects.create(username="ada")
    first, second = Shopper(user), Shopper(user)
    for device in (first, second):
        device.look_around()
    first.add(teapot)
    first.check_out("hosted-page")

    basket = second.check_out("hosted-page")["basket"]
    tell_webhook("hosted-page/webhook", basket=basket, id="t-1")

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == second.id != first.id


def test_own_id_of_the_project_goes_before_the_cookie(
    api: FakeApi, shopper: Shopper, teapot: Product, settings: Any
) -> None:
    settings.TOPSORT_USER_ID = lambda request: "a-hash-of-the-customer"
    shopper.add(teapot)

    shopper.check_out("pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == "a-hash-of-the-customer"


def test_clerk_who_orders_for_another_is_not_the_shopper(
    api: FakeApi, teapot: Product, drops: list[object]
) -> None:
    clerk = Shopper(User.objects.create(username="clerk", is_staff=True))
    clerk.look_around()
    clerk.add(teapot)

    clerk.check_out("pay-on-delivery")

    assert get_purchases(api) == []
    assert drops == [("purchases", "no_shopper", 1)]


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize("hook", ["TOPSORT_USER_ID", "TOPSORT_CONSENT"])
def test_hook_that_raises_breaks_no_checkout(
    api: FakeApi,
    shopper: Shopper,
    teapot: Product,
    settings: Any,
    hook: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(request: object) -> str:
        raise ValueError("the hook is broken")

    setattr(settings, hook, fail)
    shopper.add(teapot)

    found = shopper.check_out("pay-on-delivery")

    assert Order.objects.get().ref == found["ref"]
    assert "shopper not kept" in caplog.text
    assert shopper.id not in caplog.text


def make_order(request: HttpRequest) -> HttpResponse:
    basket, _ = Basket.objects.get_or_create_from_request(request)
    basket.extra = keep_shopper(basket.extra, {"request": request})
    order = Order.objects.create_from_basket(basket, request, status="SHIPPED")
    return HttpResponse(order.ref)


urlpatterns = [path("order/", make_order), path("", include("tests.shops.salesman.urls"))]


@pytest.mark.urls(__name__)
def test_checkout_of_the_shop_s_own_keeps_the_shopper_by_name(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)

    assert shopper.client.post("/order/").status_code == 200

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == shopper.id


def test_order_without_a_request_says_nothing_of_a_shopper() -> None:
    assert keep_shopper({**FORGED, "gift": 1}, {}) == {"gift": 1}
    assert Client().get("/api/basket/").json()["extra"] == {}
