"""The recipe for pretix, in pretix: bought on its pages, paid by its models."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.dispatch import receiver
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from django_scopes import scope, scopes_disabled
from pretix.base.models import Order
from pretix.base.signals import order_paid

from django_topsort.delivery import flush
from django_topsort.testing import FakeApi
from tests.shops.pretix.conftest import buy

SHOPPER = "0190d8f2-0000-7000-8000-000000000000"


def pay(order: Any, amount: str) -> None:
    """Take money from a bank's file: no request, and the organizer's data only."""
    with scope(organizer=order.event.organizer):
        fresh = Order.objects.get(pk=order.pk)
        payment = fresh.payments.create(provider="banktransfer", amount=Decimal(amount), state="created")
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
