"""Orders that are placed in the checkout's own pages."""

from __future__ import annotations

from django_topsort.testing import FakeApi
from tests.shops.oscar.shoppers import Catalogue, Shopper


def test_guest_order_is_a_purchase_of_the_shopper(
    api: FakeApi, shopper: Shopper, catalogue: Catalogue
) -> None:
    kettle = catalogue.add("kettle", "59.80")
    order = shopper.buy(kettle, 2)
    api.wait_for(1, "purchases")
    (purchase,) = api.purchases
    assert purchase["id"] == order.number
    assert purchase["opaqueUserId"] == shopper.cookie
