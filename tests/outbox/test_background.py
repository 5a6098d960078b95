"""The thread of a process: at once what it has stored, now and then what others have left."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from django_topsort import routing
from django_topsort.delivery import flush
from django_topsort.outbox import background
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.background import BackgroundRelay
from django_topsort.outbox.models import OutboxEvent
from django_topsort.outbox.store import store_events
from django_topsort.reporting import Reporter
from django_topsort.signals import events_delivered
from django_topsort.testing import FakeApi
from django_topsort.tracking import record, track_purchase
from tests.orders import place_order
from tests.outbox.conftest import OUTBOX
from tests.sending.engine import build_event, build_events, wait_until

pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("shared_database"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
THREAD = "django-topsort-outbox"


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


urlpatterns = [path("", home)]


def get_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def wait_for_rows(status: str, count: int) -> None:
    rows = OutboxEvent.objects.using("other").filter(status=status)
    wait_until(lambda: rows.count() == count)


def test_committed_order_is_sent_at_once(api: FakeApi, settings: Any) -> None:
    settings.TOPSORT_OUTBOX_SWEEP_INTERVAL = 3600
    with transaction.atomic(using="other"):
        track_purchase(place_order(using="other"), opaque_user_id="u-1")
        assert get_threads() == []

    api.wait_for(1, "purchases")
    wait_for_rows("delivered", 1)
    assert len(get_threads()) == 1


def test_what_others_left_is_found_by_a_process_that_serves_requests(
    api: FakeApi, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_opened", 0)
    monkeypatch.setattr(background, "FIRST_LOOK", 0.01)
    store_events(build_events(3, "purchases"), "other")
    assert get_threads() == []

    Client().get("/")

    api.wait_for(3, "purchases")


def test_what_failed_is_tried_again_when_it_is_due(api: FakeApi, settings: Any) -> None:
    settings.TOPSORT_OUTBOX_SWEEP_INTERVAL = 3600
    api.answer(503, times=1)
    relay = BackgroundRelay(Reporter(EventBackend), rand=lambda: 0.1)  # of 10 s, so after 1 s
    store_events(build_events(3, "purchases"), "other")
    try:
        relay.nudge()
        api.wait_for(3, "purchases", timeout=20)
    finally:
        relay.close(10)


def test_relay_can_be_left_to_the_command(api: FakeApi, settings: Any) -> None:
    settings.TOPSORT_OUTBOX_RELAY = False
    record(build_event("purchases", "1"))
    EventBackend().open()

    assert get_threads() == []
    assert flush()
    assert len(api.purchases) == 1


def test_thread_keeps_no_connection_while_it_waits(api: FakeApi) -> None:
    open_connections: list[bool] = []
    relay = BackgroundRelay(Reporter(EventBackend))

    def look(**facts: object) -> None:
        open_connections.append(connections["other"].connection is not None)

    events_delivered.connect(look)
    store_events(build_events(1, "purchases"), "other")
    try:
        relay.flush(10)
        wrapper = connections["other"]
        assert open_connections == [True]
        assert wrapper.connection is not None  # of this thread, which is another one
    finally:
        events_delivered.disconnect(look)
        relay.close(10)


def test_flush_waits_no_longer_than_it_is_told(api: FakeApi) -> None:
    store_events(build_events(1, "purchases"), "other")
    relay = BackgroundRelay(Reporter(EventBackend))
    with api.hang() as fault:
        relay.flush(0.2)
        fault.wait_for_hit()
        fault.release()
        relay.close(20)

    assert len(api.purchases) == 1


def test_receiver_may_flush(api: FakeApi) -> None:
    answers: list[bool] = []

    def flush_again(**facts: object) -> None:
        answers.append(flush(5))

    events_delivered.connect(flush_again)
    try:
        record(build_event("purchases", "1"))
        assert flush()
    finally:
        events_delivered.disconnect(flush_again)
    assert len(answers) == 1


def test_database_that_fails_is_asked_again(
    api: FakeApi, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_OUTBOX_SWEEP_INTERVAL = 0.1
    rows = OutboxEvent.objects.using("other")
    with connections["other"].schema_editor() as editor:
        editor.delete_model(OutboxEvent)
    relay = BackgroundRelay(Reporter(EventBackend))
    try:
        relay.flush(10)
        assert "outbox not relayed; is it migrated" in caplog.text
    finally:
        with connections["other"].schema_editor() as editor:
            editor.create_model(OutboxEvent)
    rows.all().delete()
    store_events(build_events(1, "purchases"), "other")

    try:
        api.wait_for(1, "purchases")
    finally:
        relay.close(10)


def test_thread_that_cannot_start_leaves_the_rows_to_others(
    api: FakeApi,
) -> None:
    def fail_to_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail_to_start)
        record(build_event("purchases", "1"))
        assert OutboxEvent.objects.using("other").get().status == "pending"

    assert flush()
    assert len(api.purchases) == 1


def test_flush_sends_by_itself_where_no_thread_can_start(api: FakeApi) -> None:
    relay = BackgroundRelay(Reporter(EventBackend))
    relay.close(0)
    store_events(build_events(1, "purchases"), "other")

    assert relay.start() is False
    relay.nudge()
    relay.flush(10)

    assert len(api.purchases) == 1


def test_forked_child_has_a_relay_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Reporter(EventBackend)
    first = background.get_relay(report)
    assert background.get_relay(report) is first

    monkeypatch.setattr(os, "getpid", lambda: 1)

    second = background.get_relay(report)
    assert second is not first
    assert list(background._relays) == [1]


def test_process_that_ends_finishes_its_batch(api: FakeApi) -> None:
    store_events(build_events(120, "purchases"), "other")
    backend = EventBackend()
    with api.hang() as fault:
        background.get_relay(backend.report).nudge()
        fault.wait_for_hit()
        fault.release()
        backend.close()

    assert get_threads() == []
    assert len(api.purchases) == 50
    backend.close()


def test_forked_child_abandons_the_copy_of_its_parents_relay(api: FakeApi) -> None:
    relay = background.get_relay(Reporter(EventBackend))
    store_events(build_events(1, "purchases"), "other")

    background._abandon_copies()

    relay.nudge()
    assert background._relays == {}
    assert get_threads() == []


def test_outbox_of_all_kinds_is_written_before_the_response_leaves(
    api: FakeApi, settings: Any
) -> None:
    settings.TOPSORT_BACKENDS = {"default": OUTBOX}
    settings.TOPSORT_OUTBOX_RELAY = False

    Client(headers={"user-agent": "Firefox"}).get("/seen/")

    assert OutboxEvent.objects.using("other").count() == 2


def seen(request: HttpRequest) -> HttpResponse:
    from django_topsort.tracking import track_impression, track_pageview

    track_pageview(request, "home")
    track_impression(request, "p-1")
    return HttpResponse("seen")


urlpatterns.append(path("seen/", seen))


def test_close_that_comes_just_before_the_thread_waits_is_heard(api: FakeApi) -> None:
    """The thread has looked whether it is closed, and is about to wait, when it is closed."""
    relay = BackgroundRelay(Reporter(EventBackend), rand=lambda: 1000.0)  # waits for long
    relay._changed = ClosingCondition(relay)
    relay.start()

    for thread in get_threads():
        thread.join(10)
    assert get_threads() == []


class ClosingCondition(threading.Condition):
    """Closes the relay when its thread comes to wait, before it has the lock."""

    def __init__(self, relay: BackgroundRelay) -> None:
        super().__init__()
        self._relay = relay

    def __enter__(self) -> bool:
        if threading.current_thread().name == THREAD:
            self._relay._is_closed = True  # as close() does, which then notifies nobody
        return super().__enter__()
