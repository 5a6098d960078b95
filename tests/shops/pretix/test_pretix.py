"""The recipe for pretix, in pretix: bought on its pages, paid by its models."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from django_scopes import scope, scopes_disabled
from pretix.base.models import Order
from pretix.base.signals import order_paid

from django_topsort.delivery import flush
from django_topsort.orders import report_order
from django_topsort.testing import FakeApi
from tests.shops.pretix.conftest import buy

SHOPPER = "0190d8f2-0000-7000-8000-000000000000"


def pay(order: Any, amount: str) -> None:
    """Take money from a bank's file: no request, and the organizer's data only."""
    with scope(organizer=order.event.organizer):
        fresh = Order.objects.get(pk=order.pk)
        payment = fresh.payments.create(
            provider="banktransfer", amount=Decimal(amount), state="created"
        )
        payment.confirm()


def test_paid_order_is_the_purchase_of_the_shopper_who_bought_it(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    order = buy(shopper, concert, Seat=2, Child=1)
    pay(order, "46.00")

    (purchase,) = topsort_api.wait_for(1, "purchases")
    assert purchase["id"] == f"market/{order.full_code}"
    assert purchase["opaqueUserId"] == SHOPPER
    assert purchase["occurredAt"].startswith(order.datetime.isoformat()[:19])
    (item,) = purchase["items"]  # one line per ticket in pretix; the free one is no item
    assert (Decimal(item["unitPrice"]), item["quantity"]) == (Decimal(23), 2)


def test_order_that_is_paid_in_parts_is_a_purchase_with_the_last(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    order = buy(shopper, concert, Seat=2)
    pay(order, "20.00")
    assert flush(5)
    assert topsort_api.purchases == []

    pay(order, "26.00")
    assert len(topsort_api.wait_for(1, "purchases")) == 1


def test_order_that_is_reactivated_is_the_same_purchase(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    order = buy(shopper, concert, Seat=1)
    pay(order, "23.00")
    with scope(organizer=concert.organizer):
        fresh = Order.objects.get(pk=order.pk)
        order_paid.send(fresh.event, order=fresh)  # what pretix does when it reactivates one

    assert flush(5)
    assert len(topsort_api.purchases) == 1
    assert topsort_api.altered == []


def test_order_in_test_mode_is_no_purchase(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    concert.testmode = True
    concert.save()
    pay(buy(shopper, concert, Seat=1), "23.00")

    assert flush(5)
    assert topsort_api.purchases == []


def test_order_of_nobody_is_named_and_not_reported(
    topsort_api: FakeApi, concert: Any, drops: list[Any]
) -> None:
    pay(buy(Client(), concert, Seat=1), "23.00")

    assert flush(5)
    assert topsort_api.purchases == []
    assert drops == [("purchases", "no_shopper", 1)]


def fail(*args: object) -> Any:
    raise ZeroDivisionError


def test_reader_that_raises_leaves_the_order_paid(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    order = buy(shopper, concert, Seat=1)
    with override_settings(TOPSORT_ORDER_READER=fail):
        pay(order, "23.00")

    with scopes_disabled():
        assert Order.objects.get(pk=order.pk).status == Order.STATUS_PAID


def test_order_is_read_where_pretix_knows_no_organizer(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    order = buy(shopper, concert, Seat=1)

    report_order(order)  # as the relay does, in a process of its own

    topsort_api.wait_for(1, "purchases")


def test_order_of_nobody_is_named_where_pretix_knows_no_organizer(
    topsort_api: FakeApi, concert: Any, drops: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    order = buy(Client(), concert, Seat=1)

    report_order(order)

    assert drops == [("purchases", "no_shopper", 1)]
    assert f"order=market/{order.full_code}: nobody knows the shopper" in caplog.text


def test_shopper_who_may_not_be_tracked_is_not_kept(
    topsort_api: FakeApi, concert: Any, shopper: Client
) -> None:
    with override_settings(TOPSORT_CONSENT=lambda request: False):
        order = buy(shopper, concert, Seat=1)

    assert "topsort_user_id" not in order.meta_info_data


def test_receiver_from_outside_of_a_plugin_is_refused_by_pretix() -> None:
    with pytest.raises(ImproperlyConfigured, match="not a pretix plugin"):
        order_paid.connect(report_order)


@pytest.mark.parametrize("setting", ["TOPSORT_CONSENT", "TOPSORT_USER_ID"])
def test_hook_that_raises_breaks_no_checkout(
    topsort_api: FakeApi, concert: Any, shopper: Client, setting: str
) -> None:
    with override_settings(**{setting: fail}):
        order = buy(shopper, concert, Seat=1)

    assert "topsort_user_id" not in order.meta_info_data
