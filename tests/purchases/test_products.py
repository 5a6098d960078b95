from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from django_topsort.purchases.products import get_product_id, get_vendor_id


def get_sku(product: Any) -> str | None:
    sku: str | None = product.sku
    return sku


@pytest.mark.parametrize(
    ("product", "product_id"),
    [
        (SimpleNamespace(pk=5), "5"),
        (SimpleNamespace(pk="5"), "5"),  # a search result
        ({"id": 5}, "5"),
        (5, "5"),
        ("P-5", "P-5"),
        (UUID(int=5), str(UUID(int=5))),
        (SimpleNamespace(pk=None), None),
        (None, None),
    ],
)
def test_product_id_is_the_primary_key(product: object, product_id: str | None) -> None:
    assert get_product_id(product) == product_id


@pytest.mark.parametrize(
    ("sku", "product_id"), [("S-5", "S-5"), (17, "17"), ("", None), (None, None)]
)
def test_product_id_is_what_the_hook_says(
    settings: Settings, sku: object, product_id: str | None
) -> None:
    settings.TOPSORT_PRODUCT_ID = "tests.purchases.test_products.get_sku"
    assert get_product_id(SimpleNamespace(pk=5, sku=sku)) == product_id
    assert get_product_id("P-5") == "P-5"


def test_vendor_id_is_what_the_hook_says(settings: Settings) -> None:
    product = SimpleNamespace(sku="V-1")
    assert get_vendor_id(product) is None
    settings.TOPSORT_VENDOR_ID = get_sku
    assert get_vendor_id(product) == "V-1"
