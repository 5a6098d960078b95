"""The commands of the outbox: what they send, say and end with."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import F

from django_topsort.outbox.management.commands import topsort_relay
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.outbox.store import store_events
from django_topsort.signals import events_delivered
from django_topsort.testing import FakeApi
from tests.sending.engine import build_event, build_events

pytestmark = pytest.mark.django_db(transaction=True)


def call(name: str, *args: str) -> tuple[int, str]:
    """Return the exit code of a command, and what it says."""
    output = StringIO()
    code: Any = 0
    try:
        call_command(name, *args, stdout=output, stderr=output)
    except SystemExit as end:
        code = end.code
    return code, output.getvalue().strip()


def store(*ids: str, kind: str = "purchases", **values: Any) -> None:
    store_events([build_event(kind, name) for name in ids], "default")
    if values:
        OutboxEvent.objects.filter(event_id__in=ids).update(**values)


def test_relay_once_sends_what_is_due(api: FakeApi) -> None:
    store_events(build_events(120, "purchases"), "default")

    assert call("topsort_relay", "--once") == (0, "rows sent or put off: 120, waiting: 0")
    assert len(api.purchases) == 120


def test_relay_once_says_that_something_waits(api: FakeApi) -> None:
    store("1")
    api.answer(503)

    assert call("topsort_relay", "--once") == (1, "rows sent or put off: 1, waiting: 1")


def test_dead_letters_that_are_none_are_said_to_be() -> None:
    assert call("topsort_dead_letters") == (0, "nothing was refused or given up")


@pytest.mark.parametrize("command", [("topsort_relay", "--once"), ("topsort_dead_letters",)])
def test_command_names_a_database_that_fails(command: tuple[str, ...]) -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(OutboxEvent)
    try:
        with pytest.raises(CommandError, match="the outbox cannot be read: "):
            call(*command)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(OutboxEvent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_relay_ends_after_its_batch_when_it_is_asked_to(
    api: FakeApi, number: signal.Signals
) -> None:
    store_events(build_events(120, "purchases"), "default")
    earlier = signal.getsignal(number)

    def ask_to_end(**facts: object) -> None:
        os.kill(os.getpid(), number)

    events_delivered.connect(ask_to_end)
    try:
        code, said = call("topsort_relay")
    finally:
        events_delivered.disconnect(ask_to_end)

    assert (code, said) == (0, "rows sent or put off: 50, waiting: 70")
    assert signal.getsignal(number) is earlier


def test_relay_goes_on_until_it_is_asked_to_end(api: FakeApi, settings: Any) -> None:
    """It survives a database that fails, deletes what is old, and finds what comes later."""
    settings.TOPSORT_OUTBOX_SWEEP_INTERVAL = 0
    store("old", status=Status.DELIVERED, settled_at=F("created_at") - timedelta(days=4))
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            if len(waits) == 1:
                with connection.schema_editor() as editor:
                    editor.delete_model(OutboxEvent)
            elif len(waits) == 2:
                with connection.schema_editor() as editor:
                    editor.create_model(OutboxEvent)
                store("later")
            else:
                self.set()
            return self.is_set()

    output = StringIO()
    command = topsort_relay.Command(stdout=output, stderr=output)
    command.build_stop = Stop
    call_command(command)

    said = output.getvalue().strip()
    assert "the outbox cannot be read, trying again: " in said
    assert said.endswith("rows sent or put off: 1, waiting: 0")
    assert [event["id"] for event in api.purchases] == ["later"]
    assert waits == [1.0, 1.0, 1.0]


def test_dead_letters_are_listed() -> None:
    store("1", "2", status=Status.DEAD, last_error="NoAnswer no answer")
    store("3", kind="clicks", status=Status.REJECTED, last_error="InvalidRequest status=400")
    store("4")

    code, said = call("topsort_dead_letters")

    assert code == 0
    assert said.splitlines()[:3] == [
        "purchases 1 dead: NoAnswer no answer",
        "purchases 2 dead: NoAnswer no answer",
        "clicks 3 rejected: InvalidRequest status=400",
    ]
    assert "purchases dead: 2 in all" in said
    assert "clicks rejected: 1 in all" in said


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        ([], ["1", "2", "3"]),
        (["--kind", "clicks"], ["3"]),
        (["--status", "dead"], ["1", "2"]),
        (["--event-id", "2", "--event-id", "3"], ["2", "3"]),
    ],
)
def test_dead_letters_are_sent_again(api: FakeApi, args: list[str], ids: list[str]) -> None:
    store("1", "2", status=Status.DEAD)
    store("3", kind="clicks", status=Status.REJECTED)
    store("4", status=Status.DELIVERED)
    counted = call("topsort_dead_letters", "--send-again", "--dry-run", *args)
    assert counted == (0, f"dry run, wait again: {len(ids)}")
    assert not OutboxEvent.objects.waiting().exists()

    assert call("topsort_dead_letters", "--send-again", *args) == (0, f"wait again: {len(ids)}")

    call("topsort_relay", "--once")
    assert sorted(event["id"] for event in api.events) == ids


def test_dead_letters_are_deleted() -> None:
    store("1", status=Status.DEAD)
    store("2")
    assert call("topsort_dead_letters", "--delete", "--dry-run") == (0, "dry run, deleted: 1")
    assert OutboxEvent.objects.count() == 2

    assert call("topsort_dead_letters", "--delete") == (0, "deleted: 1")
    assert OutboxEvent.objects.get().event_id == "2"
