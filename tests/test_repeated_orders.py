"""An order that is announced again is the same purchase, and is sent once: both ways to Topsort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.delivery import flush
from django_topsort.orders import remember_shopper
from django_topsort.outbox import background, testruns
from django_topsort.signals import order_paid
from django_topsort.testing import FakeApi
from tests.orders import place_order
from tests.outbox.conftest import OUTBOX
from tests.sending.engine import PATIENCE
from tests.shop.models import Order
from tests.test_purchase_walk import SHOPPER, build_request

THREAD = "django_topsort.backends.thread.EventBackend"
Drops = list[tuple[str, str, int]]
pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_backends"),
]


def pay(request: HttpRequest) -> HttpResponse:
    """Hear from the bank that an order is paid; some banks say it twice in one call."""
    for _ in range(int(request.GET.get("times", 1))):
        with transaction.atomic():
            order_paid.send(sender=Order, order=Order.objects.get(), request=request)
    return HttpResponse("ok")


urlpatterns = [path("pay/", pay)]


@pytest.fixture(params=[THREAD, OUTBOX], ids=["memory", "outbox"], autouse=True)
def api(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeApi]:
    """Let purchases go the one way, and then the other."""
    monkeypatch.setattr(testruns, "test_run", testruns.TestRun())
    settings.TOPSORT_BACKENDS = {"default": THREAD, "purchases": request.param}
    settings.TOPSORT_FLUSH_INTERVAL = 0.01
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        yield api
    background.close_relay()


def hear_from_the_bank(times: int = 1) -> None:
    assert Client().get(f"/pay/?times={times}").content == b"ok"


def place() -> Order:
    order = place_order()
    assert remember_shopper(build_request(tsuid=SHOPPER), order)
    return order


def get_bodies(api: FakeApi) -> list[bytes]:
    return [request.body for request in api.requests]


def test_order_that_is_announced_twice_in_a_request_is_sent_once(
    api: FakeApi, drops: Drops
) -> None:
    before = accounts.get_counts()["purchases"]
    place()

    hear_from_the_bank(times=2)
    assert flush(PATIENCE)

    assert len(api.requests) == len(api.purchases) == 1
    assert drops == [("purchases", "duplicate", 1)]
    after = accounts.get_counts()["purchases"]
    assert after["recorded"] - before["recorded"] == 2
    assert after["waiting"] == before["waiting"]


def test_order_that_is_announced_by_two_requests_is_sent_once(api: FakeApi, drops: Drops) -> None:
    place()

    hear_from_the_bank()
    hear_from_the_bank()
    assert flush(PATIENCE)

    assert len(api.requests) == 1
    assert drops == [("purchases", "duplicate", 1)]


def test_order_that_is_announced_after_its_delivery_is_not_sent_again(
    api: FakeApi, drops: Drops
) -> None:
    order = place()
    hear_from_the_bank()
    assert flush(PATIENCE)

    order.user = None  # a field that is of no purchase
    order.save()
    order.lines.all()[0].save()
    hear_from_the_bank()
    assert flush(PATIENCE)

    assert len(api.requests) == 1
    assert drops == [("purchases", "duplicate", 1)]


def test_order_whose_shopper_is_known_at_the_second_announcement_is_sent_then(
    api: FakeApi, drops: Drops
) -> None:
    order = place_order()
    hear_from_the_bank()
    assert drops == [("purchases", "no_shopper", 1)]

    remember_shopper(build_request(tsuid=SHOPPER), order)
    hear_from_the_bank()
    assert flush(PATIENCE)

    assert [event["opaqueUserId"] for event in api.purchases] == [SHOPPER]


def test_two_processes_say_the_same_of_an_order_byte_for_byte(api: FakeApi) -> None:
    place()
    hear_from_the_bank()
    assert flush(PATIENCE)
    forget_all()
    hear_from_the_bank()
    assert flush(PATIENCE)

    first, second = get_bodies(api)
    assert first == second
    assert (api.repeated, api.altered) == (["1001"], [])


def forget_all() -> None:
    """Do as another process would, which has no memory, and whose outbox has been cleared."""
    from django_topsort.outbox.models import OutboxEvent

    OutboxEvent.objects.all().delete()
    for backend in list(routing._backends.values()):
        backend.close()
    routing._backends.clear()


def test_order_that_was_refused_may_be_announced_again(
    api: FakeApi, settings: Any, drops: Drops
) -> None:
    settings.TOPSORT_FLUSH_INTERVAL = 3600  # both in one request, which shows whose fault it is
    order = place()
    other = Order.objects.create(number="2000", date_placed=timezone.now())
    other.lines.create(sku="hat-1", quantity=1, line_price_incl_tax="5.00")
    before = accounts.get_counts()["purchases"]["rejected"]

    with api.answer(400, matches=lambda request: b'"1001"' in request.body):
        order_paid.send(sender=Order, order=order)
        order_paid.send(sender=Order, order=other, opaque_user_id="u")
        assert flush(PATIENCE)
    assert [event["id"] for event in api.purchases] == ["2000"]
    assert accounts.get_counts()["purchases"]["rejected"] == before + 1
    order_paid.send(sender=Order, order=order)
    assert flush(PATIENCE)

    assert [event["id"] for event in api.purchases] == ["2000", "1001"]
    assert drops == []
