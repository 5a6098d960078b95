"""The task that posts events, in a worker of this process; test_celery_*.py have real ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Reject
from celery.signals import setup_logging
from kombu.transport import memory

from django_topsort.accounts import accounts
from django_topsort.backends import celery as backends_celery
from django_topsort.backends import locmem
from django_topsort.backends.celery import publish_events
from django_topsort.backends.engine import build_messages
from django_topsort.delivery import flush
from django_topsort.engines import celery, forwarding
from django_topsort.reporting import log_limit
from django_topsort.testing import FakeApi
from django_topsort.tracking import record
from tests.engines.apps import make_app, read_tasks
from tests.sending.engine import build_event, build_events

CELERY = "django_topsort.backends.celery.EventBackend"
LOCMEM = "django_topsort.backends.locmem.EventBackend"


@pytest.fixture(autouse=True)
def api(settings: Any, own_backends: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setattr(forwarding, "_forwarders", {})
    monkeypatch.setattr(forwarding, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(celery, "PAUSE", 0.0)
    settings.TOPSORT_BACKENDS = {"default": CELERY, "overflow": LOCMEM}
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        yield api


@pytest.fixture
def app() -> Iterator[Any]:
    with make_app() as app:
        yield app


def publish(kind: str, count: int) -> None:
    for event in build_events(count, kind):
        publish_events(build_messages([event], 1e12))


def work(app: Any, api: FakeApi, count: int, pool: str = "solo") -> None:
    """Let a worker work until Topsort has ``count`` events."""
    # Whoever listens to this sets the logs up himself: a worker would take over those of all tests.
    setup_logging.connect(leave_alone)
    try:
        with start_worker(app, pool=pool, concurrency=4, perform_ping_check=False):
            api.wait_for(count, timeout=30)
    finally:
        setup_logging.disconnect(leave_alone)


def leave_alone(**kwargs: object) -> None:
    """Set nothing up."""


def test_worker_leaves_the_logs_of_other_tests_alone(app: Any, api: FakeApi) -> None:
    before = list(logging.getLogger().handlers)
    publish("clicks", 1)
    work(app, api, 1)
    assert [one for one in logging.getLogger().handlers if one not in before] == []


def test_events_are_posted_and_the_tasks_gone(app: Any, api: FakeApi) -> None:
    publish("impressions", 3)
    work(app, api, 3)
    assert read_tasks(app) == []
    assert api.repeated == []


def test_those_that_wait_go_together_in_a_pool_of_threads(app: Any, api: FakeApi) -> None:
    publish("impressions", 14)
    with api.delay(0.3):
        work(app, api, 14, "threads")
    assert len(api.requests) <= 8
    assert api.repeated == []


def test_what_topsort_cannot_take_is_tried_again(app: Any, api: FakeApi) -> None:
    publish("purchases", 1)
    api.answer(503, times=2)
    work(app, api, 1)
    assert len(api.requests) == 3


def test_task_goes_back_to_the_broker_when_its_leftover_does_not_get_there(
    app: Any, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [OSError("no broker")]

    def raise_once(*args: Any, **kwargs: Any) -> None:
        if troubles:
            raise troubles.pop()
        put(*args, **kwargs)

    publish("purchases", 1)
    backends_celery._lines._idle.clear()
    put = memory.Channel._put
    # In time for the leftover: what goes back to its queue is put there by the worker's thread.
    api.answer(503, times=1)
    monkeypatch.setattr(memory.Channel, "_put", raise_once)
    work(app, api, 1)
    assert troubles == []


def test_message_that_cannot_be_read_is_thrown_away(
    app: Any, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    (good,) = build_messages([build_event()], 1e12)
    task = app.tasks["django_topsort.send_events"]
    with caplog.at_level(logging.ERROR):
        task.apply(([["{}"], None, [good.body, good.since, good.attempts]],), throw=True)
    assert len(api.events) == 1
    assert "message not readable" in caplog.text


@pytest.mark.parametrize(
    "messages", [None, 5, "text", [["{}", float("inf"), 0]], [["{}", float("nan"), 0]], [["{}", 1]]]
)
def test_messages_of_another_shape_are_thrown_away(
    app: Any, api: FakeApi, caplog: pytest.LogCaptureFixture, messages: Any
) -> None:
    log_limit.clear()
    with caplog.at_level(logging.ERROR):
        app.tasks["django_topsort.send_events"].apply((messages,), throw=True)
    assert "message not readable" in caplog.text
    assert api.requests == []


def test_eager_task_is_done_at_once(api: FakeApi) -> None:
    with make_app(task_always_eager=True):
        record(build_event("clicks"))
        api.wait_for(1, "clicks")


def test_what_an_eager_task_leaves_is_kept_in_its_process(api: FakeApi) -> None:
    before = accounts.get_counts()["clicks"]
    with make_app(task_always_eager=True) as app, api.answer(503):
        record(build_event("clicks"))
        assert flush(20)
        assert app.conf.task_always_eager
    assert [event.id for event in locmem.outbox] == ["i-1"]
    after = accounts.get_counts()["clicks"]
    assert after["waiting"] == before["waiting"]
    assert after["delivered"] == before["delivered"] + 1


def test_eager_task_that_fails_raises(
    app: Any, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def forward(self, messages: object) -> None:
            raise SystemError("broken")

    monkeypatch.setattr(celery, "get_forwarder", lambda path: Broken())
    task = app.tasks["django_topsort.send_events"]
    with pytest.raises(SystemError):
        task.apply(([],), throw=True)
    task.push_request(is_eager=False)
    try:
        with pytest.raises(Reject) as caught:
            task.run([])
    finally:
        task.pop_request()
    assert caught.value.requeue is True
