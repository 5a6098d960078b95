"""An engine's workers relay in the place of this process's thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from django_topsort.conf import RELAYS
from django_topsort.delivery import flush
from django_topsort.outbox import nudges, turns
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.nudges import Nudger, get_nudger
from django_topsort.outbox.relay import Relay
from django_topsort.outbox.store import store_events
from django_topsort.outbox.turns import take_turn
from django_topsort.testing import FakeApi
from django_topsort.tracking import record
from tests.engines.apps import make_app, read_tasks
from tests.sending.engine import Clock, build_event, build_events, wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
THREADS = "django-topsort-outbox"


@pytest.fixture(autouse=True)
def elsewhere(shared_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(turns, "_places", [])
    monkeypatch.setattr(nudges, "_nudgers", {})
    yield
    for nudger in nudges._nudgers.values():
        nudger.close()


@pytest.fixture
def app(settings: Any) -> Iterator[Any]:
    settings.TOPSORT_OUTBOX_RELAY = "celery"
    with make_app() as app:
        yield app


def test_commit_publishes_a_task_and_starts_no_thread(app: Any, api: FakeApi) -> None:
    backend = EventBackend()
    backend.open()
    record(build_event("purchases"))
    ((headers, _),) = wait_for_tasks(app)

    assert headers["task"] == "django_topsort.relay_outbox"
    assert headers["eta"] is None
    assert THREADS not in [thread.name for thread in threading.enumerate()]
    assert flush(20)  # this process sends what waits if it is asked to
    assert len(api.purchases) == 1
    backend.close()
    backend.close()


def wait_for_tasks(app: Any) -> list[Any]:
    found: list[Any] = []

    def look() -> bool:
        found.extend(read_tasks(app))
        return bool(found)

    wait_until(look)
    return found


def test_task_sends_what_is_due(app: Any, api: FakeApi) -> None:
    from django_topsort.outbox.tasks import relay_outbox

    store_events(build_events(3, "purchases"), "other")
    relay_outbox.apply(throw=True)
    relay_outbox.apply(throw=True)
    assert len(api.purchases) == 3
    assert read_tasks(app) == []


def test_task_whose_time_is_over_has_another_one_go_on(
    app: Any, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_topsort.outbox import tasks

    store_events(build_events(3, "purchases"), "other")
    monkeypatch.setattr(tasks, "take_turn", lambda: take_turn(0.0))
    tasks.relay_outbox.apply(throw=True)
    assert len(read_tasks(app)) == 1


def test_turn_of_another_process_or_database_is_not_gone_on_with(api: FakeApi) -> None:
    assert not take_turn()
    ((_, place),) = turns._places
    turns._places[:] = [(0, place)]
    assert not take_turn()
    assert turns._places[0][1] is not place


def test_database_that_fails_ends_the_turn(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(*args: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Relay, "run", fail)
    assert not take_turn()
    assert "outbox not relayed" in caplog.text


# Nudges


class Engine:
    """Remembers with which delays it was told."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.error: Exception | None = None

    def __call__(self, delay: float) -> None:
        if self.error is not None:
            raise self.error
        self.delays.append(delay)


def test_commits_of_a_second_have_one_task_that_comes_after_all_of_them() -> None:
    clock, engine = Clock(), Engine()
    nudger = Nudger(engine, clock)
    nudger.nudge()
    clock.now += 0.25
    for _ in range(100):
        nudger.nudge()
    assert engine.delays == [0.0, 0.75]

    clock.now += 1.0
    nudger.nudge()
    assert engine.delays == [0.0, 0.75, 0.75]
    clock.now += 5.0
    nudger.nudge()
    assert engine.delays == [0.0, 0.75, 0.75, 0.0]
    nudger.close()


def test_engine_that_was_not_told_is_told_with_the_next_commit(caplog: Any) -> None:
    clock, engine = Clock(), Engine()
    nudger = Nudger(engine, clock)
    engine.error = OSError("no broker")
    nudger.nudge()
    wait_until(lambda: "the engine was not told error=OSError" in caplog.text)
    engine.error = None
    nudger.nudge()
    assert engine.delays == [0.0]
    nudger.close()
    nudger.nudge()
    assert engine.delays == [0.0]


def test_each_engine_has_one_nudger_in_a_process() -> None:
    nudges._nudgers[0, "celery"] = Nudger(Engine())
    assert get_nudger("celery") is get_nudger("celery")
    assert len(nudges._nudgers) == 1
    assert set(RELAYS) >= {"celery"}
