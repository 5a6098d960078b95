"""Orders that are placed in a request of the bank's, which has none of the shopper's cookies."""

from __future__ import annotations

import pytest
from django.test import Client
from oscar.apps.order.signals import order_placed
from oscar.core.loading import get_model
from pytest_django import Settings

from django_topsort.delivery import flush
from django_topsort.outbox.models import RememberedShopper
from django_topsort.testing import FakeApi, capture_events
from django_topsort.wire import encode_event
from tests.shops.oscar.shoppers import Catalogue, Shopper, get_order


@pytest.fixture
def paid(shopper: Shopper, catalogue: Catalogue) -> str:
    """The number of an order for which the shopper has gone to the bank."""
    return shopper.pay_at_bank(catalogue.add("kettle", is_sent=False))


def test_order_of_a_webhook_is_a_purchase_of_the_shopper(
    api: FakeApi, shopper: Shopper, paid: str
) -> None:
    assert not get_model("order", "Order").objects.exists()
    assert RememberedShopper.objects.get().order_key == paid
    assert Client().post("/bank/", {"number": paid}).status_code == 200
    api.wait_for(1, "purchases")
    assert api.purchases[0]["id"] == paid
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


def test_webhook_that_comes_again_makes_the_same_event_and_sends_it_once(
    api: FakeApi, paid: str
) -> None:
    for _ in range(3):
        assert Client().post("/bank/", {"number": paid}).status_code == 200
    assert flush()
    assert len(api.purchases) == 1
    events = []
    for _ in range(2):
        with capture_events() as caught:
            Client().post("/bank/", {"number": paid})
        events += caught.purchases
    first, second = events
    assert encode_event(first) == encode_event(second)


def test_webhook_that_fails_reports_nothing_and_its_repeat_does(
    api: FakeApi,
    shopper: Shopper,
    paid: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", True)

    def fail(**kwargs: object) -> None:
        raise ZeroDivisionError

    order_placed.connect(fail)
    try:
        response = Client(raise_request_exception=False).post("/bank/", {"number": paid})
    finally:
        order_placed.disconnect(fail)
    assert response.status_code == 500
    assert not get_model("order", "Order").objects.exists()
    assert flush()
    assert api.purchases == []
    Client().post("/bank/", {"number": paid})
    api.wait_for(1, "purchases")
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


def test_shopper_without_consent_is_not_reported_by_the_webhook_either(
    api: FakeApi,
    shopper: Shopper,
    catalogue: Catalogue,
    settings: Settings,
    drops: list[tuple[str, str, int]],
) -> None:
    settings.TOPSORT_CONSENT = lambda request: "tsuid" not in request.COOKIES
    shopper.client.cookies["tsuid"] = "01938a5e-8f6a-7b7e-9d0c-5a1b2c3d4e5f"
    number = shopper.pay_at_bank(catalogue.add("kettle", is_sent=False))
    Client().post("/bank/", {"number": number})
    assert get_order().number == number
    assert flush()
    assert api.purchases == []
    assert drops == []


def test_webhook_of_an_unknown_shopper_names_nobody(
    api: FakeApi, paid: str, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    RememberedShopper.objects.all().delete()
    Client().post("/bank/", {"number": paid})
    assert flush()
    assert api.purchases == []
    assert drops == [("purchases", "no_shopper", 1)]
    assert get_order().number in caplog.text
