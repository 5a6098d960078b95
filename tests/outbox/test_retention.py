"""What has served is deleted, in small parts; a lost purchase stays until somebody has seen it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from django_topsort.outbox import retention
from django_topsort.outbox.models import OutboxEvent, RememberedShopper, Status
from django_topsort.outbox.retention import Retention, delete_old_rows, delete_old_shoppers
from django_topsort.outbox.store import store_events
from django_topsort.purchases.buyers import remember_buyer
from tests.sending.engine import Clock, build_event, build_events

pytestmark = pytest.mark.django_db


def store(name: str, kind: str, status: str, days: float) -> None:
    store_events([build_event(kind, name)], "default")
    OutboxEvent.objects.filter(event_id=name).update(
        status=status, settled_at=F("created_at") - timedelta(days=days)
    )


def get_ids() -> list[str]:
    return list(OutboxEvent.objects.order_by("pk").values_list("event_id", flat=True))


def test_old_rows_are_deleted_and_lost_purchases_kept() -> None:
    store("delivered", "purchases", Status.DELIVERED, 3.1)
    store("just delivered", "purchases", Status.DELIVERED, 2.9)
    store("refused", "purchases", Status.REJECTED, 1000)
    store("dead", "purchases", Status.DEAD, 1000)
    store("click", "clicks", Status.REJECTED, 91)
    store("view", "pageviews", Status.DEAD, 91)
    store("late click", "clicks", Status.DEAD, 89)
    store("waiting", "clicks", Status.PENDING, 1000)

    assert delete_old_rows("default") == 3

    assert get_ids() == ["just delivered", "refused", "dead", "late click", "waiting"]


def test_settings_say_how_long_rows_are_kept(settings: Any) -> None:
    settings.TOPSORT_OUTBOX_KEEP_DELIVERED = 60
    settings.TOPSORT_OUTBOX_KEEP_FAILED = 120
    store("delivered", "clicks", Status.DELIVERED, 0.001)
    store("refused", "clicks", Status.REJECTED, 0.002)

    assert delete_old_rows("default") == 2


def test_rows_are_deleted_in_parts(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 10)
    store_events(build_events(35), "default")
    OutboxEvent.objects.update(
        status=Status.DELIVERED, settled_at=F("created_at") - timedelta(days=9)
    )

    assert delete_old_rows("default", most=25) == 25
    with django_assert_max_num_queries(8):
        assert delete_old_rows("default") == 10
    assert get_ids() == []


def test_process_looks_for_old_rows_now_and_then() -> None:
    clock = Clock()
    cleaning = Retention("default", clock, lambda: 0.5)
    left = []
    for seconds in (0, 599, 1):
        clock.now += seconds
        store("delivered", "purchases", Status.DELIVERED, 4)
        cleaning.run()
        left.append(OutboxEvent.objects.count())
        OutboxEvent.objects.all().delete()

    assert left == [0, 1, 0]


def remember(name: str, days: float, shopper: str = "shopper") -> None:
    assert remember_buyer(name, shopper)
    RememberedShopper.objects.filter(order_key=name).update(
        created_at=F("created_at") - timedelta(days=days)
    )


def get_orders() -> list[str]:
    return list(RememberedShopper.objects.order_by("pk").values_list("order_key", flat=True))


def test_shoppers_are_remembered_for_as_long_as_a_bank_may_take(settings: Any) -> None:
    remember("1001", 91)
    remember("1002", 89)

    assert delete_old_shoppers() == 1
    assert get_orders() == ["1002"]

    settings.TOPSORT_OUTBOX_KEEP_SHOPPERS = 60
    assert delete_old_shoppers() == 1


def test_shopper_of_an_order_that_is_placed_again_is_remembered_from_then_on() -> None:
    remember("1001", 91)
    assert remember_buyer("1001", "another")

    assert delete_old_shoppers() == 0
    assert RememberedShopper.objects.get().opaque_user_id == "another"


def test_shoppers_are_forgotten_in_parts(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 10)
    rows = [RememberedShopper(order_key=str(number)) for number in range(35)]
    RememberedShopper.objects.bulk_create(rows)
    RememberedShopper.objects.update(created_at=F("created_at") - timedelta(days=100))

    assert delete_old_shoppers(most=25) == 25
    with django_assert_max_num_queries(8):
        assert delete_old_shoppers() == 10


def test_process_forgets_old_shoppers_now_and_then() -> None:
    remember("1001", 91)

    Retention("default", Clock(), lambda: 0.5).run()

    assert get_orders() == []
