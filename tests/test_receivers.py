"""The signals that shops send."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.dispatch import Signal
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from django_topsort import receivers
from django_topsort.backends.locmem import outbox
from django_topsort.events import Click, Impression, Page, PageView, Placement, Purchase
from django_topsort.exceptions import InvalidEvent
from django_topsort.purchases.buyers import get_remembered_buyer
from django_topsort.signals import click, impression, order_paid, order_placed, pageview
from tests.orders import place_order
from tests.shop.models import Order, Product

SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}


@pytest.fixture
def request_() -> HttpRequest:
    factory = RequestFactory(headers=BROWSER)
    factory.cookies["tsuid"] = SHOPPER
    return factory.get("/shoes/")


def test_impression_signal(request_: HttpRequest) -> None:
    impression.send(
        sender=Product, request=request_, product="7", resolved_bid_id="bid-1", position=3
    )

    (event,) = outbox
    assert isinstance(event, Impression)
    assert event.resolved_bid_id == "bid-1"
    assert event.placement == Placement(path="/shoes/", position=3)


def test_click_signal(request_: HttpRequest) -> None:
    click.send(sender=None, request=request_, product=Product(pk=7), click_type="add-to-cart")

    (event,) = outbox
    assert isinstance(event, Click)
    assert event.click_type == "add-to-cart"


def test_pageview_signal(request_: HttpRequest) -> None:
    pageview.send(sender=None, request=request_, page_type="search", page_id="s", value="red")

    (event,) = outbox
    assert isinstance(event, PageView)
    assert event.page == Page(type="search", page_id="s", value="red")


async def test_signals_may_be_sent_from_async_code(request_: HttpRequest) -> None:
    await impression.asend(sender=None, request=request_, product="7")
    await pageview.asend(sender=None, request=request_)

    assert [event.kind for event in outbox] == ["impressions", "pageviews"]


@pytest.mark.parametrize(
    ("signal", "kind", "fields"),
    [
        (impression, "impressions", {"product": "7"}),
        (click, "clicks", {"product": "7"}),
        (pageview, "pageviews", {}),
    ],
)
def test_signal_without_a_request_is_wrong(
    signal: Signal, kind: str, fields: dict[str, Any], drops: list[tuple[str, str, int]]
) -> None:
    signal.send(sender=None, **fields)

    assert drops == [(kind, "invalid", 1)]
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent, match="request: None"):
        signal.send(sender=None, **fields)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["order", "instance", "sender"])
def test_order_signals_take_the_order_in_three_forms(request_: HttpRequest, form: str) -> None:
    order = place_order()
    forms: dict[str, dict[str, Any]] = {
        "order": {"sender": Order, "order": order},
        "instance": {"sender": Order, "instance": order, "created": True},
        "sender": {"sender": order},
    }
    said = forms[form]

    order_placed.send(**said, request=request_)
    order_paid.send(**said)

    (event,) = outbox
    assert isinstance(event, Purchase)
    assert event.id == "1001"
    assert event.opaque_user_id == SHOPPER


@pytest.mark.django_db(transaction=True)
def test_order_placed_takes_the_number_of_an_order_to_come(request_: HttpRequest) -> None:
    order_placed.send(sender=None, order="1001", request=request_)

    order_paid.send(sender=Order, order=place_order("1001"))

    (event,) = outbox
    assert event.opaque_user_id == SHOPPER


@pytest.mark.django_db(transaction=True)
def test_order_paid_takes_an_opaque_user_id(request_: HttpRequest) -> None:
    order_paid.send(sender=Order, order=place_order(), request=request_, opaque_user_id="own")

    (event,) = outbox
    assert event.opaque_user_id == "own"


@pytest.mark.django_db
def test_order_placed_without_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    order_placed.send(sender=Order, order="1001")

    assert get_remembered_buyer("1001") is None
    assert "shopper not remembered reason=no_request" in caplog.text


@pytest.mark.django_db
@override_settings(TOPSORT_STRICT=True)
def test_order_signals_without_an_order_break_no_checkout(
    request_: HttpRequest,
    drops: list[tuple[str, str, int]],
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        order_placed.send(sender=Order, request=request_)
        order_paid.send(sender=Order)

    assert outbox == []
    assert drops == [("purchases", "invalid", 1)]
    assert "reason=no_number" in caplog.text


@pytest.mark.django_db
def test_a_shops_receiver_that_raises_is_the_shops_business(request_: HttpRequest) -> None:
    def receiver(**kwargs: object) -> None:
        raise ZeroDivisionError

    impression.connect(receiver)
    try:
        with pytest.raises(ZeroDivisionError):
            impression.send(sender=None, request=request_, product="7")
    finally:
        impression.disconnect(receiver)

    assert len(outbox) == 1  # ours came first


def test_receivers_are_connected_once(request_: HttpRequest) -> None:
    receivers.connect()
    apps.get_app_config("django_topsort").ready()

    impression.send(sender=None, request=request_, product="7")

    assert len(outbox) == 1
