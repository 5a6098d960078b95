"""The recipes of docs/shops.md, each walked through in the shop that it is for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client, override_settings

from django_topsort.delivery import flush
from django_topsort.testing import FakeApi
from tests.shops.recipe_blocks import get_recipes
from tests.shops.recipes.conftest import SHOPPER
from tests.shops.recipes.orders import PLACED
from tests.shops.recipes.walks import WALKS, Cartridge, Saleor, Walk

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

each_walk = pytest.mark.parametrize("shop", WALKS)
each_that_may_fail = pytest.mark.parametrize("shop", [w for w in WALKS if w is not Cartridge])


def describe(purchase: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [
        (item["productId"], f"{Decimal(item['unitPrice']):.2f}", item["quantity"])
        for item in purchase["items"]
    ]


@each_walk
def test_paid_order_is_the_purchase_of_the_shopper_who_placed_it(
    shop: type[Walk], topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = shop()
    walk.order(shopper)
    assert walk.pay(bank).status_code < 400

    (purchase,) = topsort_api.wait_for(1, "purchases")
    assert purchase["id"] == walk.number
    assert purchase["opaqueUserId"] == SHOPPER
    assert purchase["occurredAt"].startswith(PLACED.isoformat()[:19])
    assert describe(purchase) == walk.items
    assert walk.is_paid()


@each_walk
def test_order_that_is_announced_twice_is_one_purchase(
    shop: type[Walk], topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = shop()
    walk.order(shopper)
    walk.pay(bank)
    topsort_api.wait_for(1, "purchases")
    if shop is not Cartridge:  # a second checkout would be a second order
        assert walk.pay(bank).status_code < 400

    assert flush(5)
    assert len(topsort_api.purchases) == 1
    assert topsort_api.altered == []
    assert topsort_api.repeated == []


@each_that_may_fail
def test_order_that_is_not_paid_is_no_purchase(
    shop: type[Walk], topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = shop()
    walk.order(shopper)
    assert walk.fail(bank).status_code < 400

    assert flush(5)
    assert topsort_api.purchases == []


def fail(*args: object) -> Any:
    raise ZeroDivisionError


@each_walk
@pytest.mark.parametrize("setting", ["TOPSORT_ORDER_READER", "TOPSORT_CONSENT", "TOPSORT_USER_ID"])
def test_fault_of_a_hook_breaks_neither_the_request_nor_the_order(
    shop: type[Walk], setting: str, topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = shop()
    with override_settings(**{setting: fail, "TOPSORT_STRICT": True}):
        walk.order(shopper)
        assert walk.pay(bank).status_code < 400

    assert walk.is_paid()


@each_walk
def test_order_of_a_shopper_who_may_not_be_tracked_is_no_purchase(
    shop: type[Walk], topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = shop()
    if shop is Saleor:
        pytest.skip("the storefront asks for consent before it writes the id")
    with override_settings(TOPSORT_CONSENT=lambda request: False):
        walk.order(shopper)
        walk.pay(bank)

    assert flush(5)
    assert topsort_api.purchases == []


@pytest.mark.parametrize("block", get_recipes(), ids=lambda block: block.title)
def test_recipe_is_short(block: Any) -> None:
    lines = [line for line in block.text.splitlines() if line and "import" not in line]

    assert len(lines) <= 17
