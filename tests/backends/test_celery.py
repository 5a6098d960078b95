"""The web processes' half; tests/engines has the same with real brokers and workers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, _state
from kombu.transport import memory

from django_topsort.accounts import accounts
from django_topsort.backends import celery, locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.backends.celery import EventBackend, bound_options, get_app, publish_relay
from django_topsort.backends.engine import Message, read_message
from django_topsort.checks import check_deployment
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.userlinks import UserLink
from tests.engines.apps import make_app, read_tasks
from tests.readme import get_free_port
from tests.sending.engine import build_event, build_events, get_ids, wait_until

MESSAGE = Message("{}", 1000.0)


@pytest.fixture
def app() -> Iterator[Any]:
    with make_app() as app:
        yield app


class Trouble:
    """A broker that fails so many times."""

    times = 0


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Trouble:
    trouble = Trouble()
    put = memory.Channel._put

    def fail_or_put(*args: Any, **kwargs: Any) -> None:
        if trouble.times:
            trouble.times -= 1
            raise OSError("no broker")
        put(*args, **kwargs)

    monkeypatch.setattr(memory.Channel, "_put", fail_or_put)
    return trouble


def test_request_is_one_task_of_json_that_shows_no_shopper(app: Any) -> None:
    backend = EventBackend()
    events = [build_event("clicks"), build_event("purchases")]
    before = accounts.get_counts()["purchases"]["stored"]
    backend.send_events(events)
    assert backend.flush(10)
    backend.close()

    ((headers, [messages]),) = read_tasks(app)
    assert headers["task"] == "django_topsort.send_events"
    assert "shopper" not in headers["argsrepr"]
    assert headers["ignore_result"] is True
    (message,) = messages
    assert get_ids(read_message(Message(*message))) == get_ids(events)
    assert accounts.get_counts()["purchases"]["stored"] == before + 1


def test_queue_and_delay_are_as_asked_for(app: Any, settings: Any) -> None:
    settings.TOPSORT_ENGINE_QUEUE = "topsort"
    celery.publish_events([MESSAGE], 600)

    ((headers, args),) = read_tasks(app, "topsort")
    assert headers["eta"]
    assert args == [[["{}", 1000.0, 0]]]


def test_outbox_is_relayed_by_a_task(app: Any) -> None:
    publish_relay()

    ((headers, args),) = read_tasks(app)
    assert (headers["task"], args) == ("django_topsort.relay_outbox", [])


def test_connection_is_used_again_and_renewed_when_it_is_dead(app: Any, trouble: Trouble) -> None:
    backend = EventBackend()
    backend.publish(MESSAGE)
    (line,) = celery._lines._idle
    backend.publish(MESSAGE)
    assert celery._lines._idle == [line]

    trouble.times = 1
    backend.publish(MESSAGE)

    (other,) = celery._lines._idle
    assert other is not line
    assert len(read_tasks(app)) == 3


def test_broker_that_fails_on_a_new_connection_is_not_asked_again(
    app: Any, trouble: Trouble
) -> None:
    trouble.times = 1
    with pytest.raises(OSError, match="no broker"):
        EventBackend().publish(MESSAGE)
    assert celery._lines._idle == []


def test_broker_that_took_long_to_fail_is_not_asked_again(
    app: Any, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = EventBackend()
    backend.publish(MESSAGE)
    monkeypatch.setattr(celery, "SOON", -1.0)
    trouble.times = 1
    with pytest.raises(OSError, match="no broker"):
        backend.publish(MESSAGE)


def test_connection_of_a_parent_is_left_alone(app: Any) -> None:
    backend = EventBackend()
    backend.publish(MESSAGE)
    (line,) = celery._lines._idle
    line.pid = 0

    backend.publish(MESSAGE)

    assert line not in celery._lines._idle
    assert len(read_tasks(app)) == 2


def test_broker_that_refuses_is_an_error_at_once() -> None:
    with make_app() as app:
        app.conf.broker_url = f"amqp://127.0.0.1:{get_free_port()}"
        try:
            with pytest.raises(OSError):
                EventBackend().publish(MESSAGE)
        finally:
            app.conf.broker_url = "memory://"


@pytest.mark.parametrize(
    ("driver", "given", "expected"),
    [
        ("redis", {}, {"socket_timeout": 5.0, "socket_connect_timeout": 3.0}),
        ("redis", {"socket_timeout": 1}, {"socket_timeout": 1, "socket_connect_timeout": 3.0}),
        (
            "amqp",
            {"read_timeout": 60},
            {"read_timeout": 5.0, "write_timeout": 5.0, "confirm_publish": True},
        ),
        ("sqs", {"region": "eu"}, {"region": "eu"}),
    ],
)
def test_client_waits_no_longer_than_it_should(
    driver: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert bound_options(driver, given) == expected


# Which app


def ask_elsewhere() -> Any:
    """Return what another thread finds, which is not the one that made the apps."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(get_app())
        except TopsortConfigurationError as error:
            found.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def test_app_of_the_project_is_found_in_every_thread(app: Any) -> None:
    _state.set_default_app(None)
    assert get_app() is app
    assert ask_elsewhere() is app


def test_one_of_several_apps_must_be_the_default(app: Any) -> None:
    other = Celery("other", broker="memory://")
    _state.set_default_app(None)
    try:
        assert "call set_default()" in ask_elsewhere()
        app.set_default()
        assert ask_elsewhere() is app
    finally:
        other.close()


def test_no_app_is_an_error_that_says_so(app: Any) -> None:
    app.close()
    _state._set_current_app(None)
    _state.set_default_app(None)
    with pytest.raises(TopsortConfigurationError, match="no app in this process"):
        EventBackend().publish(MESSAGE)
    (found,) = EventBackend().check()
    assert found.id == "django_topsort.E066"


# Checks


def test_celery_that_is_missing_is_named_and_costs_no_event(
    monkeypatch: pytest.MonkeyPatch, settings: Any, own_backends: None, caplog: Any
) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    backend = EventBackend()
    kept: list[Any] = []

    def keep(events: Any) -> tuple[()]:
        kept.extend(events)
        return ()

    backend.overflow = keep
    events = build_events(1)
    backend.send_events(events)
    backend.close()

    assert kept == events
    wait_until(lambda: "pip install 'django-topsort[celery]'" in caplog.text)
    (found,) = backend.check()
    assert found.id == "django_topsort.E065"
    assert "pip install 'django-topsort[celery]'" in str(found.hint)


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, []),
        ({"broker_url": None, "task_always_eager": True}, ["W020"]),
        ({"broker_url": None}, ["E066"]),
        ({"broker_url": "zookeeper://localhost"}, ["E071"]),  # its client is not installed here
        ({"accept_content": ["application/json"]}, []),
        ({"accept_content": ["pickle"]}, ["E067"]),
    ],
)
def test_check_of_the_app(app: Any, conf: dict[str, Any], expected: list[str]) -> None:
    app.conf.update(conf)
    try:
        found = EventBackend().check()
    finally:
        app.conf.update(broker_url="memory://", task_always_eager=False)
    assert [message.id for message in found] == [f"django_topsort.{name}" for name in expected]


@pytest.mark.parametrize(
    ("backend", "queue", "expected"),
    [("celery", None, True), ("celery", "topsort", False), ("thread", None, False)],
)
def test_deployment_without_a_queue_for_events_is_warned_of(
    settings: Any, backend: str, queue: str | None, expected: bool
) -> None:
    settings.TOPSORT_BACKENDS = {"default": f"django_topsort.backends.{backend}.EventBackend"}
    settings.TOPSORT_ENGINE_QUEUE = queue

    found = [one for one in check_deployment(app_configs=None) if one.id == "django_topsort.W019"]

    assert [
        str(one.hint).startswith('Write TOPSORT_ENGINE_QUEUE = "topsort"') for one in found
    ] == ([True] if expected else [])


def test_celery_finds_the_tasks_by_itself(app: Any) -> None:
    sys.modules.pop("django_topsort.tasks", None)
    app.autodiscover_tasks(["django_topsort"], force=True)
    assert "django_topsort.send_events" in app.tasks


def test_request_that_makes_much_json_is_several_tasks(app: Any) -> None:
    backend = EventBackend()
    events = build_events(2000)
    backend.publish(MESSAGE)  # so that the connection is there
    backend.send_events([])
    assert backend.take_over(events) == []
    backend.close()

    tasks = [args for _, (args,) in read_tasks(app)[1:]]
    assert len(tasks) == 2
    read = [event for (message,) in tasks for event in read_message(Message(*message))]
    assert get_ids(read) == get_ids(events)


def test_without_overflow_the_memory_has_what_the_broker_has_not(
    app: Any, trouble: Trouble, own_backends: None, drops: list[Any], caplog: Any
) -> None:
    backend = EventBackend()
    trouble.times = 2
    backend.send_events(build_events(1))
    assert drops == [("impressions", "overflow", 1)]  # there is no memory, either

    memory_backend = locmem.EventBackend()
    backend.get_memory = lambda: memory_backend
    backend.send_events(build_events(1))
    assert len(locmem.outbox) == 1
    assert backend.get_state() == {"is_paused": False}
    backend.close()


def test_event_that_cannot_be_written_is_left_to_the_memory(own_backends: None) -> None:
    backend = EventBackend()
    kept: list[Any] = []

    class Memory(BaseEventBackend):
        def send_events(self, events: Any) -> None:
            kept.extend(events)

    backend.get_memory = Memory
    broken: Any = object()
    backend.send_events([broken])
    assert kept == [broken]
    backend.close()


def test_links_of_users_go_by_way_of_memory(own_backends: None) -> None:
    backend = EventBackend()
    links: list[Any] = []

    class Memory(BaseEventBackend):
        def link_users(self, link: Any) -> None:
            links.append(link)

    link = UserLink("guest", "customer")
    before = accounts.get_link_counts()["dropped"]
    backend.link_users(link)
    assert accounts.get_link_counts()["dropped"] == before + 1
    backend.get_memory = Memory
    backend.link_users(link)
    assert links == [link]
    backend.close()


def test_tasks_are_only_there_where_celery_is() -> None:
    code = (
        "import django, sys; from django.conf import settings;"
        "settings.configure(INSTALLED_APPS=['django.contrib.contenttypes', 'django_topsort',"
        " 'django_topsort.outbox']); django.setup();"
        "import django_topsort.tasks, django_topsort.outbox.tasks as ours;"
        "assert 'celery' not in sys.modules; assert not hasattr(ours, 'relay_outbox')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
