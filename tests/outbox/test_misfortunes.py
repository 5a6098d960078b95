"""A database that fails at the wrong moment; tests/faults has the same with processes that die."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations.exceptions import IrreversibleError

from django_topsort.backends import locmem
from django_topsort.delivery import announce_safely, withdraw_safely
from django_topsort.outbox.figures import get_figures
from django_topsort.outbox.management.commands import topsort_relay
from django_topsort.outbox.models import OutboxEvent
from django_topsort.outbox.store import store_events
from django_topsort.testing import FakeApi
from django_topsort.tracking import record, track_purchase
from tests.orders import place_order
from tests.sending.engine import build_event, build_events
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_stop_ends_the_waiting_for_it() -> None:
    stop = topsort_relay.Stop()
    assert not stop.wait(0.01)
    assert not stop.is_set()

    stop.set()

    assert stop.wait()
    assert stop.wait()
    assert stop.is_set()


def test_relay_that_is_asked_to_end_while_its_database_is_away_ends(api: FakeApi) -> None:
    class Stop(topsort_relay.Stop):
        def wait(self, timeout: float | None = None) -> bool:
            with connection.schema_editor() as editor:
                editor.delete_model(OutboxEvent)
            self.set()
            return super().wait(timeout)

    output = StringIO()
    command = topsort_relay.Command(stdout=output, stderr=output)
    command.build_stop = Stop
    store_events(build_events(2, "purchases"), "default")
    try:
        call_command(command)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(OutboxEvent)

    said = output.getvalue().splitlines()
    assert said[0].startswith("the outbox cannot be read: ")
    assert said[-1] == "rows sent or put off: 2"


def test_announcements_of_one_order_have_nothing_in_common() -> None:
    """So that no transaction waits for another, and none takes back what another has written."""
    with transaction.atomic():
        order = place_order()
        first = announce_safely(order, None, "shopper-1", "default")
        second = announce_safely(order, None, "shopper-1", "default")
    assert first is not None
    assert second is not None

    withdraw_safely(first)

    assert OutboxEvent.objects.get().status == "announced"
    withdraw_safely(second)
    assert not OutboxEvent.objects.exists()


def test_transaction_that_the_database_has_ended_is_no_success() -> None:
    """MySQL ends a deadlock so: savepoints are gone with the rest, and Django rolls back."""
    has_ended: list[str] = []

    def end_the_transaction(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and OutboxEvent._meta.db_table in sql:
            has_ended.append(sql)
            raise OperationalError(1213, "Deadlock found when trying to get lock")
        if has_ended and "SAVEPOINT" in sql:
            raise OperationalError(1305, "SAVEPOINT does not exist")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(end_the_transaction):
        for report in (track_purchase, record_purchase):
            with pytest.raises(OperationalError, match="Deadlock"), transaction.atomic():
                report(place_order())
            has_ended.clear()

    assert not Order.objects.exists()
    assert not connection.needs_rollback


def record_purchase(order: Order) -> None:
    record(build_event("purchases", order.number))


def test_shop_that_rolls_back_itself_is_not_told_so_by_us(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        order = place_order()
        transaction.set_rollback(True)
        track_purchase(order, opaque_user_id="shopper-1")

    assert not OutboxEvent.objects.exists()


def test_announcement_whose_purchase_is_in_memory_only_stays() -> None:
    def refuse_events(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and "pending" in map(str, params):
            raise OperationalError("lock wait timeout")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse_events), transaction.atomic():
        track_purchase(place_order(), opaque_user_id="shopper-1")

    assert [event.id for event in locmem.outbox] == ["1001"]
    assert OutboxEvent.objects.get().status == "announced"

    # What failed has nothing to do with the next order, whoever takes care of that one.
    with connection.execute_wrapper(refuse_events):
        record(build_event("purchases", "in memory, too"))
    with transaction.atomic():
        track_purchase(place_order("1002"), opaque_user_id="shopper-1")
    assert OutboxEvent.objects.get(event_id="1002").status == "pending"


def test_figures_leave_out_what_a_newer_version_says() -> None:
    store_events([build_event("purchases", "1"), build_event("purchases", "2")], "default")
    OutboxEvent.objects.filter(event_id="2").update(status="paused")

    purchases = get_figures()["purchases"]

    assert (purchases["stored"], purchases["waiting"]) == (1, 1)


def test_migration_back_is_refused_while_events_wait() -> None:
    store_events([build_event("purchases", "1")], "default")

    with pytest.raises(IrreversibleError, match="1 events wait in the outbox"):
        call_command("migrate", "topsort_outbox", "0001", verbosity=0)

    OutboxEvent.objects.all().delete()
    call_command("migrate", "topsort_outbox", "0001", verbosity=0)
    call_command("migrate", "topsort_outbox", verbosity=0)
    assert not OutboxEvent.objects.exists()
