"""Orders that shops get wrong, or that look like others than they are."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings
from pytest_django import Settings

from django_topsort.backends.locmem import outbox
from django_topsort.events import Purchase
from django_topsort.orders import report_order
from django_topsort.purchases.products import get_product_id
from django_topsort.purchases.reader import OrderReader
from django_topsort.purchases.rules import build_purchase
from tests.orders import PLACED, place_order
from tests.purchases.shapes import PLACED_AT, Manager, django_plans, oscar, stripe_session
from tests.shop.models import Order


def get_purchases() -> list[Purchase]:
    return [event for event in outbox if isinstance(event, Purchase)]


# --- Payments that are no orders ---


@pytest.mark.parametrize("build", [stripe_session, django_plans])
def test_payment_of_which_no_lines_are_known_is_no_purchase(
    build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "django_topsort.purchases"):
        assert build_purchase(build(), opaque_user_id="shopper") is None

    assert caplog.messages[-1].endswith(("reason=no_line", "reason=no_payable_line"))


# --- Orders that are announced before they count ---


class PaidReader(OrderReader):
    """Takes an order for a purchase when its payments cover its total, and it has lines at all."""

    def is_complete(self, order: Any) -> bool:
        return bool(order.lines.exists() and order.vendor_paid >= order.total_due)


@pytest.mark.django_db(transaction=True)
def test_order_that_is_paid_in_parts_is_reported_with_the_last_of_them(
    monkeypatch: pytest.MonkeyPatch, drops: list[object]
) -> None:
    order = place_order()
    monkeypatch.setattr(Order, "total_due", Decimal("79.85"), raising=False)
    with override_settings(TOPSORT_ORDER_READER=PaidReader):
        for paid in ("0.00", "40.00", "79.85"):
            monkeypatch.setattr(Order, "vendor_paid", Decimal(paid), raising=False)
            report_order(order, opaque_user_id="u")

    (purchase,) = get_purchases()
    assert purchase.occurred_at == PLACED  # when it was placed, not when it was paid
    assert drops == []


@pytest.mark.django_db(transaction=True)
def test_order_of_nothing_yet_is_not_taken_for_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order.objects.create(number="1001", date_placed=PLACED)
    monkeypatch.setattr(Order, "total_due", Decimal(0), raising=False)
    monkeypatch.setattr(Order, "vendor_paid", Decimal(0), raising=False)
    with override_settings(TOPSORT_ORDER_READER=PaidReader):
        report_order(order, opaque_user_id="u")

    assert outbox == []


class MarketReader(OrderReader):
    """Leaves alone what staff entered, sent again for free or imported; knows a box office."""

    def is_complete(self, order: Any) -> bool:
        return super().is_complete(order) and getattr(order, "origin", "checkout") == "checkout"

    def get_channel(self, order: Any) -> str | None:
        return {"web": "onsite", "boxoffice": "instore"}.get(order.sales_channel)


@pytest.mark.parametrize("origin", ["draft", "reissue", "bulk_create"])
@override_settings(TOPSORT_ORDER_READER=MarketReader)
def test_order_that_no_shopper_made_is_left_alone(origin: str) -> None:
    order = oscar()
    order.origin = origin

    assert build_purchase(order, opaque_user_id="shopper") is None


@pytest.mark.parametrize(
    ("sales_channel", "channel"), [("web", "onsite"), ("boxoffice", "instore"), ("api", None)]
)
@override_settings(TOPSORT_ORDER_READER=MarketReader)
def test_channel_of_the_shop_is_translated(sales_channel: str, channel: str | None) -> None:
    order = oscar()
    order.sales_channel = sales_channel

    purchase = build_purchase(order, opaque_user_id="shopper")

    assert purchase is not None
    assert purchase.channel == channel


# --- Times ---


@override_settings(USE_TZ=False)
def test_times_of_a_shop_without_time_zones_are_of_its_own_zone() -> None:
    order = oscar()
    order.date_placed = datetime(2026, 11, 1, 10, 30)  # noqa: DTZ001  # in Berlin

    placed = build_purchase(order, opaque_user_id="shopper")
    order.date_placed = None
    unknown = build_purchase(order, opaque_user_id="shopper")

    assert placed is not None
    assert placed.occurred_at == PLACED_AT
    assert unknown is not None
    assert abs((datetime.now(UTC) - unknown.occurred_at).total_seconds()) < 60


# --- Products ---


def get_parent_id(product: Any) -> str:
    return f"{product.kind}-{product.parent_id or product.pk}"


def test_variant_that_was_bought_has_the_id_of_the_product_on_the_page(settings: Settings) -> None:
    settings.TOPSORT_PRODUCT_ID = get_parent_id
    on_page = SimpleNamespace(pk=3, parent_id=None, kind="shirt")
    bought = SimpleNamespace(pk=5, parent_id=3, kind="shirt")
    line = SimpleNamespace(product=bought, line_total=Decimal(5))

    assert get_product_id(on_page) == OrderReader().get_product_id(line) == "shirt-3"


def test_products_of_two_models_with_one_key_are_told_apart_by_the_hook(
    settings: Settings,
) -> None:
    settings.TOPSORT_PRODUCT_ID = get_parent_id
    lines = [
        SimpleNamespace(
            product=SimpleNamespace(pk=7, parent_id=None, kind=kind), total=Decimal(5), quantity=1
        )
        for kind in ("phone", "case")
    ]
    order = SimpleNamespace(ref="1", date_created=PLACED_AT, items=Manager(*lines))

    purchase = build_purchase(order, opaque_user_id="shopper")

    assert purchase is not None
    assert [item.product_id for item in purchase.items] == ["case-7", "phone-7"]


# --- Numbers ---


class TicketReader(OrderReader):
    """Orders whose codes are unique for one organizer only."""

    def get_key(self, order: Any) -> str:
        return f"{order.organizer}/{super().get_key(order)}"


@override_settings(TOPSORT_ORDER_READER=TicketReader)
def test_number_that_is_unique_for_one_organizer_only_is_told_apart_by_the_reader() -> None:
    ids = set()
    for organizer in ("opera", "club"):
        order = oscar()
        order.organizer = organizer
        purchase = build_purchase(order, opaque_user_id="shopper")
        assert purchase is not None
        ids.add(purchase.id)

    assert ids == {"opera/100001", "club/100001"}
