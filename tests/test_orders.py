"""Remembering who orders, and reporting an order by hand."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from django_topsort.backends.locmem import outbox
from django_topsort.events import Purchase
from django_topsort.orders import remember_shopper, report_order
from django_topsort.purchases.buyers import get_remembered_buyer
from tests.orders import place_order

SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
PHONE = {"user-agent": "Mozilla/5.0 (iPhone) Mobile"}

pytestmark = pytest.mark.django_db(transaction=True)


def build_request(user: Any = None, cookie: str = SHOPPER) -> HttpRequest:
    factory = RequestFactory(headers=PHONE)
    if cookie:
        factory.cookies["tsuid"] = cookie
    request = factory.post("/checkout/")
    request.user = user or AnonymousUser()
    return request


def test_remembered_shopper_is_the_purchases() -> None:
    order = place_order()

    assert remember_shopper(build_request(), order)
    report_order(order)

    (event,) = outbox
    assert isinstance(event, Purchase)
    assert event.opaque_user_id == SHOPPER
    assert event.device_type == "mobile"
    assert event.channel == "onsite"


@pytest.mark.parametrize(
    ("user", "cookie"),
    [(User(pk=5, is_staff=True), SHOPPER), (None, ""), (None, "<script>")],
    ids=["staff", "no cookie", "malformed cookie"],
)
def test_shopper_who_is_not_sure_is_not_remembered(user: User | None, cookie: str) -> None:
    assert not remember_shopper(build_request(user, cookie), "1001")
    assert get_remembered_buyer("1001") is None


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_shopper_without_consent_is_not_remembered() -> None:
    assert not remember_shopper(build_request(), "1001")


def test_shopper_of_no_request_is_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    assert not remember_shopper(None, "1001")
    assert "reason=no_request" in caplog.text


def fail(request: HttpRequest) -> str:
    raise ZeroDivisionError


@override_settings(TOPSORT_CONSENT=fail, TOPSORT_STRICT=True)
def test_hook_that_raises_breaks_no_checkout(caplog: pytest.LogCaptureFixture) -> None:
    assert not remember_shopper(build_request(), "1001")
    assert "ZeroDivisionError" in caplog.text


@override_settings(TOPSORT_USER_ID=lambda request: "jane@example.com" * 9)
def test_id_that_is_refused_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert not remember_shopper(build_request(), "1001")
    assert "field=TOPSORT_USER_ID" in caplog.text
    assert "jane" not in caplog.text


def test_order_is_reported_with_a_given_shopper() -> None:
    report_order(place_order(), opaque_user_id="own")

    assert [event.opaque_user_id for event in outbox] == ["own"]


def test_order_is_not_reported_with_an_id_that_is_too_long(
    drops: list[tuple[str, str, int]],
) -> None:
    report_order(place_order(), opaque_user_id="u" * 65)

    assert outbox == []
    assert drops == [("purchases", "invalid", 1)]


def test_order_is_reported_with_its_request() -> None:
    report_order(place_order(), build_request())

    assert [event.opaque_user_id for event in outbox] == [SHOPPER]


def test_refusal_at_the_checkout_holds_for_the_banks_request(caplog: Any) -> None:
    order = place_order()
    with override_settings(TOPSORT_CONSENT=lambda request: False):
        assert not remember_shopper(build_request(), order)

    report_order(order, build_request(cookie=""))

    assert outbox == []
    assert get_remembered_buyer(order) is None
    assert "ERROR" not in caplog.text


def test_refusal_in_the_request_that_pays_is_no_error(caplog: Any) -> None:
    order = place_order()

    with override_settings(TOPSORT_CONSENT=lambda request: False):
        report_order(order, build_request())

    assert outbox == []
    assert "ERROR" not in caplog.text


def test_bank_cannot_refuse_for_the_shopper(drops: list[tuple[str, str, int]]) -> None:
    """It brings no cookie, so a hook that looks for one there says no."""
    with override_settings(TOPSORT_CONSENT=lambda request: "consent" in request.COOKIES):
        report_order(place_order(), build_request(cookie=""))

    assert drops == [("purchases", "no_shopper", 1)]


def test_order_whose_shopper_is_named_survives_a_hook_that_raises() -> None:
    def fail(request: HttpRequest) -> bool:
        raise ZeroDivisionError

    order = place_order()
    with override_settings(TOPSORT_CONSENT=fail), transaction.atomic():
        report_order(order, build_request(), "shopper-1")

    assert [event.opaque_user_id for event in outbox] == ["shopper-1"]


@pytest.mark.parametrize("mark", ["hijack_history", "loginas_from_user"])
def test_clerk_in_the_place_of_a_customer_is_not_the_shopper(
    mark: str, drops: list[tuple[str, str, int]]
) -> None:
    request = build_request(User(pk=7))
    request.session = {mark: ["1"]}  # type: ignore[assignment]  # as much of a session as is read

    report_order(place_order(), request)

    assert outbox == []
    assert drops == [("purchases", "no_shopper", 1)]


def test_refusal_of_a_clerk_is_not_the_shoppers() -> None:
    order = place_order()
    with override_settings(TOPSORT_CONSENT=lambda request: False):
        assert not remember_shopper(build_request(User(pk=5, is_staff=True)), order)

    report_order(order, build_request())

    assert [event.opaque_user_id for event in outbox] == [SHOPPER]
