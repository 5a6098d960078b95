"""The backend of Django's tasks, with engines that run nothing, run at once, or are not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from asgiref.local import Local
from django.utils import timezone

from django_topsort import routing
from django_topsort.backends import tasks
from django_topsort.backends.base import BaseEventBackend
from django_topsort.backends.engine import Message, build_messages, read_message
from django_topsort.backends.tasks import PACKAGE, EventBackend, publish_events, publish_relay
from django_topsort.delivery import deliver_safely
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.testing import BackendContract, FakeApi
from tests.sending.engine import PATIENCE, build_events

TASKS = "django_topsort.backends.tasks.EventBackend"
DUMMY = f"{PACKAGE}.backends.dummy.DummyBackend"
IMMEDIATE = f"{PACKAGE}.backends.immediate.ImmediateBackend"


class Engine(import_module(f"{PACKAGE}.backends.base").BaseTaskBackend):  # type: ignore[misc]
    """One whose workers are elsewhere."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError


def set_tasks(settings: Any, engines: dict[str, dict[str, Any]]) -> None:
    """Let Django have other engines: it keeps those that it has made."""
    settings.TASKS = engines
    handler = import_module(PACKAGE).task_backends
    handler._settings = None
    handler.__dict__.pop("settings", None)
    handler._connections = Local(handler.thread_critical)


@pytest.fixture(autouse=True)
def _engines(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_tasks(settings, {"default": {"BACKEND": DUMMY, "QUEUES": []}})
    # Whoever waits for longer in a test waits for a machine that has other things to do.
    monkeypatch.setattr("django_topsort.backends.engine.PATIENCE", PATIENCE)
    yield
    set_tasks(settings, {})


def get_results() -> list[Any]:
    """Return what has been enqueued; the engine is one for all threads."""
    return list(tasks.get_engine().results)


def read_results() -> list[Message]:
    return [Message(*one) for result in get_results() for one in result.args[0]]


@pytest.fixture
def shared_engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let all threads have one engine, whose memory a test can look into."""
    engine = tasks.get_engine()
    handler = import_module(PACKAGE).task_backends
    monkeypatch.setattr(type(handler), "__getitem__", lambda self, alias: engine)
    return engine


@pytest.mark.usefixtures("shared_engine")
class TestContract(BackendContract):
    def make_backend(self) -> BaseEventBackend:
        tasks.get_engine().clear()
        return EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        events = [event for message in read_results() for event in read_message(message)]
        return [(event.kind, event.id) for event in events]


def test_request_is_one_task_of_the_queue(settings: Any) -> None:
    settings.TOPSORT_ENGINE_QUEUE = "topsort"
    (message,) = build_messages(build_events(3), 12.5, 2)

    publish_events([message])

    (result,) = get_results()
    assert result.task.module_path == tasks.SEND_EVENTS
    assert (result.task.queue_name, result.task.backend) == ("topsort", "default")
    assert result.task.run_after is None
    assert read_results() == [message]


def test_task_without_a_queue_of_ours_goes_to_djangos(settings: Any) -> None:
    set_tasks(settings, {"default": {"BACKEND": DUMMY, "QUEUES": []}, "events": {"BACKEND": DUMMY}})
    settings.TOPSORT_TASKS_BACKEND = "events"

    publish_events([Message("{}", 0.0)])

    (result,) = get_results()
    assert (result.task.queue_name, result.task.backend) == ("default", "events")


def is_soon(due: datetime, seconds: float) -> bool:
    return abs(due - timezone.now() - timedelta(seconds=seconds)) < timedelta(seconds=PATIENCE)


def test_pause_is_the_engines_where_it_can(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_events([Message("{}", 0.0)], 3600.0)
    monkeypatch.setattr(type(tasks.get_engine()), "supports_defer", False)
    publish_events([Message("{}", 0.0)], 3600.0)

    first, second = get_results()
    assert is_soon(first.task.run_after, 3600.0)
    assert second.task.run_after is None


def test_outbox_is_relayed_by_a_task_of_its_own() -> None:
    publish_relay(60.0)

    (result,) = get_results()
    assert result.task.module_path == tasks.RELAY_OUTBOX
    assert result.args == []
    assert is_soon(result.task.run_after, 60.0)


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PACKAGE", "django_tasks_that_are_not_installed")


@pytest.mark.usefixtures("no_package")
def test_error_says_which_package_is_missing() -> None:
    with pytest.raises(TopsortConfigurationError, match=r"pip install 'django-topsort\[tasks\]'"):
        publish_events([Message("{}", 0.0)])


@pytest.mark.usefixtures("no_package", "own_backends")
def test_events_arrive_from_memory_where_there_are_no_tasks(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_BACKENDS = {"default": TASKS}
    settings.TOPSORT_FLUSH_INTERVAL = 0.01
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        deliver_safely(build_events(2))
        api.wait_for(2)
        assert routing.get_backend().flush(PATIENCE)
    assert "pip install 'django-topsort[tasks]'" in caplog.text


@pytest.mark.usefixtures("own_backends")
def test_engine_that_runs_tasks_at_once_posts_them(settings: Any) -> None:
    set_tasks(settings, {"default": {"BACKEND": IMMEDIATE, "QUEUES": []}})
    settings.TOPSORT_BACKENDS = {"default": TASKS}
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        deliver_safely(build_events(2))
        api.wait_for(2)
        assert routing.get_backend().flush(PATIENCE)
        assert not tasks.is_publishing()
        assert api.repeated == []


@pytest.mark.usefixtures("own_backends")
def test_engine_that_runs_tasks_at_once_leaves_the_rest_to_the_memory(settings: Any) -> None:
    """Enqueued anew, the task would run at once again, and so on without an end."""
    set_tasks(settings, {"default": {"BACKEND": IMMEDIATE, "QUEUES": []}})
    settings.TOPSORT_BACKENDS = {"default": TASKS}
    settings.TOPSORT_FLUSH_INTERVAL = 0.01
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        api.answer(500, times=1)
        deliver_safely(build_events(2))
        api.wait_for(2)


@pytest.mark.parametrize(
    ("engines", "values", "said", "hint"),
    [
        ({}, {"TOPSORT_TASKS_BACKEND": "events"}, "TASKS has no 'events'", "name one that is"),
        (
            {"default": {"BACKEND": "no.such.Backend"}},
            {},
            "TASKS has no 'default' that can be used",
            "with its BACKEND",
        ),
        (
            {"default": {"BACKEND": DUMMY, "QUEUES": ["mail", "low"]}},
            {},
            "'default' is none of the engine's QUEUES (low, mail)",
            "Add 'default' to the QUEUES",
        ),
        (
            {"default": {"BACKEND": DUMMY}},
            {"TOPSORT_ENGINE_QUEUE": "topsort"},
            "'topsort' is none of the engine's QUEUES (default)",
            "name one of them",
        ),
    ],
)
def test_check_says_what_is_wrong(
    settings: Any,
    engines: dict[str, dict[str, Any]],
    values: dict[str, Any],
    said: str,
    hint: str,
) -> None:
    set_tasks(settings, engines or {"default": {"BACKEND": DUMMY}})
    for name, value in values.items():
        setattr(settings, name, value)

    (message,) = EventBackend().check()

    assert message.id == "django_topsort.E069"
    assert said in message.msg
    assert hint in str(message.hint)


@pytest.mark.usefixtures("no_package")
def test_check_names_the_package() -> None:
    (message,) = EventBackend().check()

    assert message.id == "django_topsort.E069"
    assert "pip install 'django-topsort[tasks]'" in str(message.hint)


@pytest.mark.parametrize(
    ("engine", "said"),
    [(DUMMY, "runs no task"), (IMMEDIATE, "posts to Topsort in the web process")],
)
def test_check_warns_of_engines_without_workers(settings: Any, engine: str, said: str) -> None:
    set_tasks(settings, {"default": {"BACKEND": engine}})
    (message,) = EventBackend().check()
    assert (message.id, message.is_serious()) == ("django_topsort.W018", False)
    assert said in message.msg

    settings.DEBUG = True
    assert EventBackend().check() == []


def test_check_has_nothing_to_say_of_an_engine_with_workers(settings: Any) -> None:
    set_tasks(settings, {"default": {"BACKEND": f"{__name__}.Engine"}})

    assert EventBackend().check() == []
