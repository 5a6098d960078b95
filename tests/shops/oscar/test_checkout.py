"""Orders that are placed in the checkout's own pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from oscar.apps.order.signals import order_placed
from oscar.apps.partner import strategy
from oscar.core.loading import get_model
from oscar.test import factories
from pytest_django import Settings

from django_topsort.contrib.oscar.receivers import handle_order_placed
from django_topsort.delivery import flush
from django_topsort.purchases.rules import build_purchase
from django_topsort.testing import FakeApi, capture_events
from tests.shops.oscar.shoppers import Catalogue, Shopper, get_order

READERS = "tests.shops.oscar.readers"


def get_item(api: FakeApi) -> dict[str, Any]:
    api.wait_for(1, "purchases")
    (purchase,) = api.purchases
    (item,) = purchase["items"]
    return dict(item)


def test_guest_order_is_a_purchase_of_the_shopper(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    order = shopper.buy(catalogue.add("kettle", "29.90"), 2)
    api.wait_for(1, "purchases")
    (purchase,) = api.purchases
    assert purchase["id"] == order.number
    assert purchase["opaqueUserId"] == shopper.cookie
    line = order.lines.get()
    assert purchase["items"] == [
        {
            "productId": str(line.product_id),
            "unitPrice": Decimal("29.90"),
            "quantity": 2,
            "vendorId": str(line.partner_id),
        }
    ]
    assert order.user is None


def test_customer_order_is_a_purchase_of_the_shopper(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    user = shopper.log_in()
    order = shopper.buy(catalogue.add("kettle"))
    api.wait_for(1, "purchases")
    assert order.user == user
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


def test_order_of_a_member_of_staff_is_no_purchase_of_theirs(
    api: FakeApi,
    shopper: Shopper,
    catalogue: Catalogue,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shopper.log_in(is_staff=True)
    order = shopper.buy(catalogue.add("kettle"))
    assert flush()
    assert api.purchases == []
    assert drops == [("purchases", "no_shopper", 1)]
    assert order.number in caplog.text


def test_order_is_noted_in_its_own_transaction(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    """Oscar says that it is placed only afterwards, which a killed process never does."""
    uid = "django_topsort.contrib.oscar.handle_order_placed"
    assert order_placed.disconnect(dispatch_uid=uid)
    try:
        order = shopper.buy(catalogue.add("kettle"))
    finally:
        order_placed.connect(handle_order_placed, weak=False, dispatch_uid=uid)
    assert flush()
    assert [purchase["id"] for purchase in api.purchases] == [order.number]


def test_cancelled_order_of_the_past_is_no_purchase(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    order = shopper.buy(catalogue.add("kettle"))
    order.status = "Cancelled"
    assert build_purchase(order, opaque_user_id="shopper") is None


def test_price_is_what_three_for_two_leaves(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    everything = factories.RangeFactory(includes_all_products=True)
    factories.ConditionalOfferFactory(
        condition=factories.ConditionFactory(range=everything, type="Count", value=3),
        benefit=factories.BenefitFactory(
            range=everything, type="Multibuy", value=None, max_affected_items=1
        ),
    )
    order = shopper.buy(catalogue.add("kettle", "15.00"), 3)
    assert order.lines.get().unit_price_incl_tax == 15
    item = get_item(api)
    assert (item["unitPrice"], item["quantity"]) == (10, 3)


def test_free_sample_is_no_item(api: FakeApi, shopper: Shopper, catalogue: Catalogue) -> None:
    shopper.put_into_basket(catalogue.add("sample", "0.00"))
    kettle = catalogue.add("kettle")
    shopper.buy(kettle)
    assert get_order().lines.count() == 2
    assert get_item(api)["productId"] == str(kettle.pk)


def test_variant_has_the_id_of_its_parent_on_its_page_and_in_the_purchase(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    shirt = catalogue.add("shirt", is_parent=True)
    small = catalogue.add("small", parent=shirt)
    shopper.buy(small)
    assert get_order().lines.get().product == small
    assert get_item(api)["productId"] == str(shirt.pk)
    with capture_events() as events:
        shopper.look_at(small)
    assert events.pageviews[0].page.value == str(shirt.pk)


def test_product_id_of_the_settings_goes_first(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, settings: Settings
) -> None:
    settings.TOPSORT_PRODUCT_ID = lambda product: product.upc
    shopper.buy(catalogue.add("kettle"))
    assert get_item(api)["productId"] == "upc-kettle"


def test_order_that_is_paid_later_is_reported_then(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, settings: Settings
) -> None:
    settings.TOPSORT_ORDER_READER = f"{READERS}.PaidReader"
    order = shopper.buy(catalogue.add("kettle"))
    assert flush()
    assert api.purchases == []
    order.set_status("Paid")
    api.wait_for(1, "purchases")
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie
    body = [*api.purchases]
    order.set_status("Shipped")
    assert flush()
    assert api.purchases == body


def test_cancelled_order_is_not_reported(
    api: FakeApi,
    shopper: Shopper,
    catalogue: Catalogue,
    settings: Settings,
    drops: list[tuple[str, str, int]],
) -> None:
    settings.TOPSORT_ORDER_READER = f"{READERS}.PaidReader"
    shopper.buy(catalogue.add("kettle")).set_status("Cancelled")
    assert flush()
    assert api.purchases == []
    assert drops == []


def test_status_of_an_order_that_counts_when_it_is_placed_says_nothing_again(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    order = shopper.buy(catalogue.add("kettle"))
    api.wait_for(1, "purchases")
    with capture_events() as events:
        order.set_status("Paid")
    assert events.purchases == []


def test_deleted_product_is_known_by_its_upc(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, settings: Settings
) -> None:
    settings.TOPSORT_ORDER_READER = f"{READERS}.PaidReader"
    kettle = catalogue.add("kettle")
    order = shopper.buy(kettle)
    kettle.delete()
    order.set_status("Paid")
    assert get_item(api)["productId"] == "upc-kettle"


def test_shopper_is_kept_under_the_number_that_the_reader_makes(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, settings: Settings
) -> None:
    settings.TOPSORT_ORDER_READER = f"{READERS}.PrefixReader"
    kettle = catalogue.add("kettle", is_sent=False)
    number = shopper.pay_at_bank(kettle)
    Client().post("/bank/", {"number": number})
    api.wait_for(1, "purchases")
    assert api.purchases[0]["id"] == f"shop-{number}"
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


@pytest.mark.parametrize("is_atomic", [False, True])
@pytest.mark.parametrize("fault", ["reader", "receiver"])
def test_fault_of_the_shop_leaves_the_checkout_as_it_is_without_us(
    api: FakeApi,
    shopper: Shopper,
    catalogue: Catalogue,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    *,
    fault: str,
    is_atomic: bool,
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", is_atomic)
    if fault == "reader":
        settings.TOPSORT_ORDER_READER = f"{READERS}.fail"
    else:
        request.getfixturevalue("raising_receiver")
    order = shopper.buy(catalogue.add("kettle", "12.50"))
    assert get_model("payment", "Source").objects.get(order=order).amount_debited == 12.5
    assert get_model("order", "PaymentEvent").objects.get(order=order).amount == 12.5
    assert order.basket.status == "Submitted"
    if fault == "reader":
        assert f"order={order.number}" in caplog.text
        assert "ZeroDivisionError" in caplog.text
    else:
        api.wait_for(1, "purchases")


def test_reader_that_cannot_be_imported_breaks_no_change_of_status(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, settings: Settings
) -> None:
    settings.TOPSORT_ORDER_READER = "no.such.Reader"
    order = shopper.buy(catalogue.add("kettle"))
    order.set_status("Paid")
    assert order.status_changes.get().new_status == "Paid"


class Hostile(strategy.Default):  # type: ignore[misc]  # Oscar has no types
    """Prices that let nobody ask for the request."""

    def __getattribute__(self, name: str) -> Any:
        if name == "request":
            raise ZeroDivisionError
        return super().__getattribute__(name)


def test_strategy_that_raises_breaks_no_checkout(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy.Selector, "strategy", lambda self, **kwargs: Hostile())
    shopper.buy(catalogue.add("kettle"))
    api.wait_for(1, "purchases")
    assert api.purchases[0]["opaqueUserId"] == shopper.cookie


def test_settings_of_the_shop_pass_the_checks() -> None:
    from django.core import checks

    assert checks.run_checks(tags=["topsort"]) == []
