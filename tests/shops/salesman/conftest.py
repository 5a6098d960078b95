"""A shop with three products, a fake of Topsort's API, and people who shop."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import django
import pytest
from django.db import connections

from django_topsort.testing import FakeApi
from tests.shops.salesman.models import Product, Variant
from tests.shops.salesman.shopping import Shopper

# Of Salesman there is no version for Django 6; test_support.py says so.
collect_ignore_glob = ["test_salesman_*.py"] if django.VERSION >= (6, 0) else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(autouse=True)
def api(settings: Any, own_backends: None) -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        yield api


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic-requests"])
def requests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each request be a transaction, or none."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", request.param)


@pytest.fixture(autouse=True)
def teapot(transactional_db: None) -> Product:
    return Product.objects.create(name="Teapot", code="teapot", price=Decimal("15.00"))


@pytest.fixture
def sample(teapot: Product) -> Product:
    return Product.objects.create(name="Sample", code="sample", price=Decimal(0))


@pytest.fixture
def large(teapot: Product) -> Variant:
    return Variant.objects.create(
        pk=teapot.pk, parent=teapot, code="teapot-large", price=Decimal("20.00")
    )


@pytest.fixture
def shopper(teapot: Product) -> Shopper:
    """A guest who has looked at a page."""
    guest = Shopper()
    guest.look_around()
    return guest
