"""A database that fails at the wrong moment; tests/faults has the same with processes that die."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.exceptions import IrreversibleError

from django_topsort.outbox.figures import get_figures
from django_topsort.outbox.management.commands import topsort_relay
from django_topsort.outbox.models import OutboxEvent
from django_topsort.outbox.store import store_events
from django_topsort.testing import FakeApi
from django_topsort.tracking import track_purchase
from tests.orders import place_order
from tests.sending.engine import build_event, build_events

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


def test_order_that_another_transaction_has_just_announced_is_announced_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused: list[str] = []

    def refuse_once(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and OutboxEvent._meta.db_table in sql and not refused:
            refused.append(sql)
            raise IntegrityError("the key is there by now")
        return execute(sql, params, many, context)

    with transaction.atomic():
        order = place_order()
        with connection.execute_wrapper(refuse_once):
            track_purchase(order, opaque_user_id="shopper-1")
        assert OutboxEvent.objects.get().status == "announced"

    assert len(refused) == 1
    assert "not announced" not in caplog.text


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
