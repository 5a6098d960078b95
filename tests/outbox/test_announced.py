"""An order whose process died between its commit and its report is reported by another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject

from django_topsort.delivery import announce_safely, flush
from django_topsort.orders import remember_shopper
from django_topsort.outbox.clock import get_host_time
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.signals import order_paid
from django_topsort.testing import FakeApi
from django_topsort.tracking import track_purchase
from tests.orders import PLACED, place_order
from tests.sending.engine import build_event
from tests.shop.models import MarketOrder, Order

pytestmark = pytest.mark.django_db(transaction=True)
SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}


def announce_and_die(order: Any, request: HttpRequest | None = None, **given: Any) -> None:
    """Announce an order in its transaction, and forget what would come after its commit."""
    announcement = announce_safely(order, request, given.get("opaque_user_id"), "default")
    assert announcement is not None


def build_request(**cookies: str) -> HttpRequest:
    factory = RequestFactory(headers=BROWSER)
    for name, value in cookies.items():
        factory.cookies[name] = value
    return factory.get("/pay/")


def let_patience_end() -> None:
    OutboxEvent.objects.update(due_at=get_host_time() - timedelta(seconds=1))


def get_statuses() -> list[str]:
    return list(OutboxEvent.objects.order_by("pk").values_list("status", flat=True))


def test_order_is_left_to_its_own_process_for_a_while(api: FakeApi) -> None:
    with transaction.atomic():
        announce_and_die(place_order(), opaque_user_id=SHOPPER)

    assert not flush()
    assert api.requests == []
    (row,) = OutboxEvent.objects.all()
    assert 10 < (row.due_at - get_host_time()).total_seconds() <= 15


def test_order_is_reported_as_it_was_committed(api: FakeApi) -> None:
    with transaction.atomic():
        order = Order.objects.create(number="1001", date_placed=PLACED)
        announce_and_die(order, opaque_user_id=SHOPPER)
        order.lines.create(sku="shoe-1", line_price_incl_tax="59.90")
    let_patience_end()

    assert flush()

    (purchase,) = api.purchases
    assert (purchase["id"], purchase["opaqueUserId"]) == ("1001", SHOPPER)
    assert purchase["occurredAt"].startswith("2026-03-04T05:06:07")
    assert get_statuses() == ["delivered"]


def test_shopper_of_the_request_is_known_although_it_is_over(api: FakeApi) -> None:
    with transaction.atomic():
        announce_and_die(place_order(), build_request(tsuid=SHOPPER))
    let_patience_end()

    assert flush()

    (purchase,) = api.purchases
    assert purchase["opaqueUserId"] == SHOPPER
    assert (purchase["deviceType"], purchase["channel"]) == ("desktop", "onsite")


def test_remembered_shopper_goes_before_that_of_the_request(api: FakeApi) -> None:
    order = place_order()
    remember_shopper(build_request(tsuid="remembered"), order)
    with transaction.atomic():
        announce_and_die(order, build_request(tsuid=SHOPPER))
    let_patience_end()

    assert flush()
    assert [event["opaqueUserId"] for event in api.purchases] == ["remembered"]


def test_order_that_has_been_reported_meanwhile_is_not_sent_twice(
    api: FakeApi, drops: list[tuple[str, str, int]]
) -> None:
    with transaction.atomic():
        order = place_order()
        announce_and_die(order, opaque_user_id=SHOPPER)
    OutboxEvent.objects.update(key="of a relay that is at it")
    track_purchase(order, opaque_user_id=SHOPPER)
    let_patience_end()

    assert flush()
    assert len(api.requests) == 1
    assert get_statuses() == ["delivered"]
    assert drops == [("purchases", "duplicate", 1)]


def test_order_of_nobody_is_named_and_forgotten(
    api: FakeApi, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic():
        announce_and_die(place_order())
    let_patience_end()

    assert flush()
    assert get_statuses() == []
    assert drops == [("purchases", "no_shopper", 1)]
    assert "order=1001: nobody knows the shopper" in caplog.text


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_order_of_a_shopper_who_may_not_be_tracked_is_forgotten(
    api: FakeApi, drops: list[object]
) -> None:
    with transaction.atomic():
        announce_and_die(place_order(), build_request(tsuid=SHOPPER))
    let_patience_end()

    assert flush()
    assert (get_statuses(), drops, api.requests) == ([], [], [])


@pytest.mark.parametrize("fate", ["deleted", "not a purchase"])
def test_order_that_is_no_purchase_any_more_is_forgotten(
    api: FakeApi, drops: list[object], fate: str
) -> None:
    with transaction.atomic():
        order = place_order()
        announce_and_die(order, opaque_user_id=SHOPPER)
    if fate == "deleted":
        order.delete()
    else:
        order.lines.all().delete()
    let_patience_end()

    assert flush()
    assert (get_statuses(), drops, api.requests) == ([], [], [])


def test_finished_purchase_is_reported_by_another_process(api: FakeApi) -> None:
    with transaction.atomic():
        announce_and_die(build_event("purchases", "7"))
    let_patience_end()

    assert flush()
    assert [event["id"] for event in api.purchases] == ["7"]


def fail_to_read(order: object) -> None:
    raise ConnectionError("the price list does not answer")


def test_order_that_cannot_be_read_is_tried_again_until_it_is_a_dead_letter(
    api: FakeApi, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic():
        announce_and_die(place_order(), opaque_user_id=SHOPPER)
    settings.TOPSORT_ORDER_READER = fail_to_read
    let_patience_end()

    assert not flush()
    (row,) = OutboxEvent.objects.all()
    assert (row.status, row.attempts) == ("announced", 1)
    assert row.last_error == "ConnectionError: its order cannot be read"
    assert "announced order not read order=1001" in caplog.text

    OutboxEvent.objects.update(created_at=F("created_at") - timedelta(days=8))
    let_patience_end()
    assert flush()
    assert get_statuses() == ["dead"]

    del settings.TOPSORT_ORDER_READER
    assert OutboxEvent.objects.all().send_again(get_host_time()) == 1
    assert get_statuses() == ["announced"]
    assert flush()
    assert [event["id"] for event in api.purchases] == ["1001"]


@pytest.mark.parametrize(
    "payload", ["{", '{"name": "1", "using": "default", "purchase": "{}"}', '{"name": 1}']
)
def test_announcement_that_cannot_be_read_is_named_and_forgotten(
    api: FakeApi, drops: list[tuple[str, str, int]], payload: str
) -> None:
    with transaction.atomic():
        announce_and_die(place_order(), opaque_user_id=SHOPPER)
    OutboxEvent.objects.update(payload=payload)
    let_patience_end()

    assert flush()
    assert (get_statuses(), drops) == ([], [("purchases", "invalid", 1)])


def test_announcement_of_a_model_that_is_gone_waits(api: FakeApi) -> None:
    with transaction.atomic():
        announce_and_die(place_order(), opaque_user_id=SHOPPER)
    payload = OutboxEvent.objects.values_list("payload", flat=True)[0]
    OutboxEvent.objects.update(payload=payload.replace("shop.order", "shop.gone"))
    let_patience_end()

    assert not flush()
    assert get_statuses() == [Status.ANNOUNCED]


def test_order_with_a_key_of_several_parts_is_reported(api: FakeApi) -> None:
    with transaction.atomic():
        order = MarketOrder.objects.create(market=uuid4(), number="7")
        announce_and_die(order, opaque_user_id=SHOPPER)
    let_patience_end()

    assert flush()
    assert [event["id"] for event in api.purchases] == ["7"]


def test_query_that_a_hook_breaks_spoils_no_order(api: FakeApi) -> None:
    request = build_request(tsuid=SHOPPER)
    broken = User.objects.extra(where=["no_such_column = 1"])
    request.user = SimpleLazyObject(broken.get)  # type: ignore[assignment]  # as Django's own is

    with transaction.atomic():
        order_paid.send(sender=Order, order=place_order(), request=request)

    assert Order.objects.filter(number="1001").exists()
