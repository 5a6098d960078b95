"""Of several databases: the one whose commit counts, and the one that an order is read from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.utils.functional import SimpleLazyObject
from pytest_django import Settings

from django_topsort.exceptions import UnreportableOrder
from django_topsort.purchases.databases import get_fresh_order, get_order_database
from django_topsort.purchases.rules import build_purchase
from tests.orders import PLACED, place_order
from tests.shop.models import Order

both_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class ReplicaRouter:
    """Reads from "other", as from a replica that lags behind, and writes to "default"."""

    def db_for_read(self, model: object, **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: object, **hints: Any) -> str:
        return "default"


@pytest.fixture
def replica(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [ReplicaRouter()]


def read_from_replica() -> Order:
    """Return an order as a query finds it on the replica."""
    order = place_order()
    order._state.db = "other"
    return order


@pytest.mark.django_db
def test_fresh_order_has_what_was_saved_since() -> None:
    order = place_order()
    Order.objects.update(number="1002")
    fresh = get_fresh_order(order)
    assert fresh is not None
    assert fresh.number == "1002"


@pytest.mark.django_db
def test_fresh_order_is_none_where_the_order_is_gone() -> None:
    order = place_order()
    Order.objects.filter(pk=order.pk).delete()
    assert get_fresh_order(order) is None
    order.delete()
    assert get_fresh_order(order) is None


@pytest.mark.django_db
def test_fresh_order_of_one_that_was_never_saved_is_refused() -> None:
    with pytest.raises(UnreportableOrder, match="not_saved: it was never saved"):
        get_fresh_order(Order(number="1003"))


@pytest.mark.django_db
def test_fresh_order_of_a_reference_is_found() -> None:
    fresh = get_fresh_order(Order(pk=place_order().pk))
    assert fresh is not None
    assert fresh.number == "1001"


@pytest.mark.django_db
def test_fresh_order_of_a_lazy_object_is_the_order() -> None:
    order = place_order()
    fresh: Any = get_fresh_order(SimpleLazyObject(lambda: order))
    assert type(fresh) is Order
    assert fresh.number == "1001"


@both_databases
def test_fresh_order_comes_from_its_own_database() -> None:
    order = place_order(using="other")
    fresh = get_fresh_order(order)
    assert fresh is not None
    assert fresh._state.db == "other"
    purchase = build_purchase(fresh, opaque_user_id="u")
    assert purchase is not None
    assert len(purchase.items) == 2


@both_databases
@pytest.mark.usefixtures("replica")
def test_fresh_order_and_its_lines_come_from_where_they_are_written() -> None:
    fresh = get_fresh_order(read_from_replica())
    assert fresh is not None
    assert fresh._state.db == "default"
    purchase = build_purchase(fresh, opaque_user_id="u")
    assert purchase is not None
    assert len(purchase.items) == 2


@both_databases
@pytest.mark.usefixtures("replica")
def test_fresh_order_that_was_saved_past_the_routers_is_found() -> None:
    fresh = get_fresh_order(Order.objects.using("other").create(number="1", date_placed=PLACED))
    assert fresh is not None
    assert fresh._state.db == "other"


def test_fresh_order_of_something_else_is_itself() -> None:
    order = SimpleNamespace(number="1001")
    assert get_fresh_order(order) is order


@both_databases
@pytest.mark.usefixtures("replica")
def test_order_from_a_replica_waits_for_the_database_that_is_written() -> None:
    order = Order(number="1001", date_placed=PLACED)
    order._state.db = "other"
    assert get_order_database(order) == "default"
    with transaction.atomic(using="default"), transaction.atomic(using="other"):
        assert get_order_database(order) == "default"
    with transaction.atomic(using="other"):
        assert get_order_database(order) == "other"


@both_databases
def test_order_that_is_no_model_waits_for_whatever_transaction_there_is() -> None:
    assert get_order_database({}) == "default"
    with transaction.atomic(using="other"):
        assert get_order_database({}) == "other"
        with transaction.atomic():
            assert get_order_database({}) == "default"
