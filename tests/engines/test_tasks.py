"""What a task of Django's does with its messages, and with what is left of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.backends import tasks as backend_module
from django_topsort.backends.engine import Message, build_messages, read_message
from django_topsort.backends.tasks import get_engine
from django_topsort.engines import forwarding, tasks
from django_topsort.engines.forwarding import HOLDING_SECONDS
from django_topsort.engines.tasks import PAUSE
from django_topsort.events import EVENT_KINDS
from django_topsort.outbox import turn_task
from django_topsort.testing import FakeApi
from tests.backends.test_tasks import DUMMY, is_soon, read_results, set_tasks
from tests.sending.engine import build_events

TASKS = "django_topsort.backends.tasks.EventBackend"
# What the decorator makes of functions.
send_events: Any = tasks.send_events
relay_outbox: Any = turn_task.relay_outbox
LOCMEM = "django_topsort.backends.locmem.EventBackend"


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_FLUSH_INTERVAL = 0.01
        yield api


@pytest.fixture(autouse=True)
def waits(
    settings: Any, monkeypatch: pytest.MonkeyPatch, own_backends: None, api: FakeApi
) -> Iterator[list[float]]:
    """What a task has waited for; and at the end, that no event is left over."""
    waits: list[float] = []
    monkeypatch.setattr("django_topsort.engines.tasks.time.sleep", waits.append)
    monkeypatch.setattr(forwarding, "_forwarders", {})
    settings.TOPSORT_BACKENDS = {"default": TASKS}
    set_tasks(settings, {"default": {"BACKEND": DUMMY, "QUEUES": []}})
    before = accounts.get_counts()
    yield waits
    for backend in routing.get_backends():
        assert backend.flush(30)
    after = accounts.get_counts()
    assert [after[kind]["waiting"] - before[kind]["waiting"] for kind in EVENT_KINDS] == [0] * 4
    set_tasks(settings, {})


def run(*messages: Message) -> None:
    """Run a task as a worker does, with arguments that have been JSON."""
    send_events.call([[one.body, one.since, one.attempts] for one in messages])


def pack(*ids: str) -> Message:
    events = [build_events(1, prefix=name)[0] for name in ids]
    (message,) = build_messages(events, time.time())
    return message


def read_ids(message: Message) -> list[str]:
    return [event.id for event in read_message(message)]


def test_task_is_one_for_workers_to_find() -> None:
    assert isinstance(send_events, import_module(backend_module.PACKAGE).base.Task)
    assert send_events.module_path == backend_module.SEND_EVENTS
    assert relay_outbox.module_path == backend_module.RELAY_OUTBOX


def test_task_posts_its_messages(api: FakeApi, waits: list[float]) -> None:
    run(pack("a", "b"), pack("c"))

    assert sorted(event["id"] for event in api.impressions) == ["a-0", "b-0", "c-0"]
    assert read_results() == []
    assert waits == []


def test_what_is_left_is_a_task_for_later(api: FakeApi, waits: list[float]) -> None:
    api.answer(503, headers={"Retry-After": "100"}, times=1)

    run(pack("a"), pack("b"))

    results = get_engine().results
    assert [read_ids(message) for message in read_results()] == [["a-0"], ["b-0"]]
    assert [message.attempts for message in read_results()] == [1, 1]
    assert all(is_soon(result.task.run_after, 100) for result in results)
    assert waits == []


@pytest.mark.parametrize(("asked", "waited"), [("3", 5.0), ("100", HOLDING_SECONDS)])
def test_worker_of_an_engine_that_puts_nothing_off_waits_a_moment(
    api: FakeApi,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    waited: float,
) -> None:
    monkeypatch.setattr(type(get_engine()), "supports_defer", False)
    monkeypatch.setattr(forwarding, "get_backoff", lambda *args: 5.0)
    api.answer(503, headers={"Retry-After": asked}, times=1)

    run(pack("a"))

    assert [read_ids(message) for message in read_results()] == [["a-0"]]
    assert waits == [waited]


class TimeLimit(BaseException):
    pass


@pytest.mark.parametrize("error", [TimeLimit, SystemExit, OSError])
def test_task_that_is_broken_off_is_enqueued_anew_first(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine takes it for failed, and does not run it again."""

    def strike(*args: object) -> None:
        raise error

    monkeypatch.setattr(tasks, "get_forwarder", strike)
    accounts.count_taken(build_events(2))  # as the forwarder does, which counts them back
    accounts.count_stored(build_events(2))
    message = pack("a", "b")

    with pytest.raises(error):
        run(message)

    assert read_results() == [message]
    assert is_soon(get_engine().results[0].task.run_after, PAUSE)


def test_what_the_engine_does_not_take_back_goes_by_way_of_memory(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("amqp://user:secret@broker")

    monkeypatch.setattr(type(get_engine()), "enqueue", refuse)
    api.answer(500, times=1)

    run(pack("a"))

    api.wait_for(1)
    assert "not enqueued anew error=OSError; its events take another way" in caplog.text
    assert "secret" not in caplog.text


def test_what_the_engine_does_not_take_back_is_for_the_overflow(
    settings: Any, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(get_engine()), "supports_defer", False)
    monkeypatch.setattr(tasks, "is_publishing", lambda: True)
    settings.TOPSORT_BACKENDS = {"default": TASKS, "overflow": LOCMEM}
    api.answer(500)

    run(pack("a"))

    locmem = import_module("django_topsort.backends.locmem")
    assert [event.id for event in locmem.outbox] == ["a-0"]
    assert read_results() == []


@pytest.mark.parametrize(("is_more", "is_at_once"), [(False, False), (True, False), (True, True)])
def test_outbox_goes_on_with_another_task(
    monkeypatch: pytest.MonkeyPatch, *, is_more: bool, is_at_once: bool
) -> None:
    monkeypatch.setattr(turn_task, "take_turn", lambda: is_more)
    monkeypatch.setattr(turn_task, "is_publishing", lambda: is_at_once)

    relay_outbox.call()

    names = [result.task.name for result in get_engine().results]
    assert names == (["relay_outbox"] if is_more and not is_at_once else [])
