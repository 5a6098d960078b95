"""The default backend against a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any

import pytest

from django_topsort.accounts import accounts
from django_topsort.backends import thread
from django_topsort.backends.base import BaseEventBackend
from django_topsort.events import EVENT_KINDS
from django_topsort.sending.wiring import SenderOptions
from django_topsort.testing import BackendContract, FakeApi
from django_topsort.userlinks import UserLink
from tests.scripts import run_script
from tests.sending.engine import PATIENCE, build_event, build_events, wait_until

KEY = "TSE_tests"


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_API_KEY = KEY
        settings.TOPSORT_FLUSH_INTERVAL = 0.05
        yield api


@pytest.fixture
def backend(api: FakeApi) -> Iterator[thread.EventBackend]:
    backend = thread.EventBackend()
    yield backend
    api.clear_faults()
    backend.close()


class TestContract(BackendContract):
    @pytest.fixture(autouse=True)
    def _api(self, api: FakeApi) -> None:
        self.api = api

    def make_backend(self) -> BaseEventBackend:
        self.api.clear()
        return thread.EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(event.kind, event["id"]) for event in self.api.events]


def test_options_are_the_settings_of_the_moment(settings: Any) -> None:
    assert thread.get_options() == SenderOptions()

    settings.TOPSORT_QUEUE_SIZE = 7
    settings.TOPSORT_QUEUE_BYTES = 70
    settings.TOPSORT_FLUSH_INTERVAL = 0.7
    settings.TOPSORT_CONNECTIONS = 17
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 1.7
    assert thread.get_options() == SenderOptions(7, 70, 0.7, 17, 1.7)


def test_first_link_of_users_after_the_end_is_dropped(
    api: FakeApi, backend: thread.EventBackend
) -> None:
    backend.close()
    dropped = accounts.get_link_counts()["reasons"].get("shutdown", 0)

    backend.link_users(UserLink("guest", "customer"))

    assert accounts.get_link_counts()["reasons"]["shutdown"] == dropped + 1
    assert backend.flush(PATIENCE)
    assert api.requests == []


def test_events_of_several_calls_share_a_request(
    api: FakeApi, backend: thread.EventBackend, settings: Any
) -> None:
    settings.TOPSORT_FLUSH_INTERVAL = 60.0
    for kind in EVENT_KINDS:
        backend.send_events(build_events(5, kind))

    assert backend.flush(PATIENCE)
    (request,) = api.requests
    assert request.taken == dict.fromkeys(EVENT_KINDS, 5)


def test_thousand_impressions_use_21_requests_and_8_connections_at_most(
    api: FakeApi, backend: thread.EventBackend, settings: Any
) -> None:
    settings.TOPSORT_CONNECTIONS = 8
    settings.TOPSORT_FLUSH_INTERVAL = 60.0
    events = build_events(1000)
    for start in range(0, 1000, 24):
        backend.send_events(events[start : start + 24])

    assert backend.flush(PATIENCE)
    assert len(api.requests) in {20, 21}
    assert len({request.connection for request in api.requests}) <= 8
    assert len(api.impressions) == 1000


@pytest.mark.parametrize("connections", [8, 32])
def test_as_many_requests_are_in_flight_as_may_be_with_a_slow_api(
    api: FakeApi, backend: thread.EventBackend, settings: Any, connections: int
) -> None:
    settings.TOPSORT_CONNECTIONS = connections
    with api.hang() as fault:
        backend.send_events(build_events(2000))
        fault.wait_for_hit(connections, PATIENCE)
        assert len({request.connection for request in api.requests}) == connections
    assert backend.flush(PATIENCE)
    assert len(api.impressions) == 2000


def test_one_connection_serves_many_requests(
    api: FakeApi, backend: thread.EventBackend, settings: Any
) -> None:
    settings.TOPSORT_CONNECTIONS = 1
    backend.send_events(build_events(500))

    assert backend.flush(PATIENCE)
    assert {request.connection for request in api.requests} == {1}


def test_lost_answer_is_asked_for_again_with_the_same_events(
    api: FakeApi, backend: thread.EventBackend
) -> None:
    api.lose_answers(times=2)
    backend.send_events([build_event(kind, f"{kind}-1") for kind in EVENT_KINDS])

    wait_until(lambda: backend.flush(PATIENCE))
    assert sorted(set(api.repeated)) == sorted(f"{kind}-1" for kind in EVENT_KINDS)
    assert api.altered == []
    assert len(api.events) == 4


def test_poison_among_all_kinds_rejects_one(api: FakeApi, backend: thread.EventBackend) -> None:
    before = accounts.get_counts()
    api.poison("clicks-3")
    events = [event for kind in EVENT_KINDS for event in build_events(20, kind)]
    backend.send_events(events)

    assert backend.flush(PATIENCE)
    assert len(api.events) == 79
    assert accounts.get_counts()["clicks"]["rejected"] == before["clicks"]["rejected"] + 1


def test_outage_and_return_lose_nothing(api: FakeApi, backend: thread.EventBackend) -> None:
    with api.refuse():
        for number in range(20):
            backend.send_events(build_events(30, EVENT_KINDS[number % 4], f"{number}"))
        assert not backend.flush(0.5)
    wait_until(lambda: backend.flush(PATIENCE))

    assert len(api.events) == 600
    assert api.repeated == []


def test_retry_after_is_kept(api: FakeApi, backend: thread.EventBackend) -> None:
    api.answer(429, headers={"Retry-After": "1"}, times=1)
    backend.send_events(build_events(3))
    wait_until(lambda: backend.flush(PATIENCE))

    first, second = api.requests
    assert 1.0 <= (second.time - first.time).total_seconds() < 10.0


def test_wrong_key_keeps_the_events_until_it_is_right(
    api: FakeApi, backend: thread.EventBackend, caplog: pytest.LogCaptureFixture
) -> None:
    before = accounts.get_counts()["purchases"]["dropped"]
    api.answer(401, times=1)
    backend.send_events(build_events(3, "purchases"))
    api.wait_for_requests(1, PATIENCE)
    started = time.monotonic()

    assert not backend.flush(5.0)  # asked again in a minute only
    assert time.monotonic() - started < 4.0
    assert len(api.requests) == 1
    assert accounts.get_counts()["purchases"]["dropped"] == before
    assert caplog.text.count("AuthenticationFailed") <= 1
    assert KEY not in caplog.text


def test_close_with_a_hanging_api_keeps_to_its_time(
    api: FakeApi, backend: thread.EventBackend, settings: Any
) -> None:
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 0.3
    before = accounts.get_counts()["clicks"]["reasons"].get("shutdown", 0)
    with api.hang():
        backend.send_events(build_events(120, "clicks"))
        api.wait_for_requests(1, PATIENCE)
        started = time.monotonic()
        backend.close()

    assert time.monotonic() - started < 5.0
    assert accounts.get_counts()["clicks"]["reasons"]["shutdown"] == before + 120


def test_backend_that_gets_nothing_starts_nothing(settings: Any) -> None:
    settings.TOPSORT_API_KEY = ""
    backend = thread.EventBackend()
    backend.send_events([])

    assert backend.flush(0.0)
    assert not thread.EventBackend.blocking
    assert thread.EventBackend.production


def test_hand_over_that_is_broken_off_costs_no_event(
    api: FakeApi,
    backend: thread.EventBackend,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class TimeLimit(Exception):
        """What Celery's signal handler raises, wherever the task is."""

    def strike(thread: threading.Thread) -> None:
        monkeypatch.undo()
        raise TimeLimit

    settings.TOPSORT_FLUSH_INTERVAL = 60.0
    before = accounts.get_counts()["clicks"]
    monkeypatch.setattr("threading.Thread.start", strike)
    backend.send_events(build_events(3, "clicks"))

    assert "hand-over broken off events=3" in caplog.text
    assert backend.flush(PATIENCE)
    assert len(api.clicks) == 3
    assert api.repeated == []
    assert accounts.get_counts()["clicks"]["dropped"] == before["dropped"]


DJANGO = """
import os, sys, threading, time, atexit, django
from django.conf import settings
settings.configure(
    TOPSORT_API_KEY="TSE_tests", TOPSORT_API_URL=sys.argv[1], TOPSORT_FLUSH_INTERVAL=60,
    INSTALLED_APPS=["django_topsort"], TOPSORT_SHUTDOWN_TIMEOUT=float(sys.argv[2]),
)
django.setup()
from django_topsort import delivery, routing
from tests.sending.engine import build_events
assert "requests" not in sys.modules, "it is imported when it is needed"
"""


@pytest.mark.parametrize("when", ["now", "at exit"])
def test_process_that_ends_sends_what_waits(api: FakeApi, when: str) -> None:
    record = "delivery.deliver_safely(build_events(300))"
    code = record if when == "now" else f"delivery.flush(); atexit.register(lambda: {record})"
    if when == "at exit":
        # Nothing has been sent yet: even requests is imported while the process ends.
        code = f"""
import django_topsort.backends.thread
backend = routing.get_backend()
atexit.register(lambda: backend.close())
atexit.register(lambda: {record})
"""
    result = run_script(DJANGO + code, api.url, "5", measured=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert len(api.impressions) == 300


@pytest.mark.parametrize("when", ["now", "at exit"])
def test_process_that_ends_does_not_wait_long_for_a_hanging_api(api: FakeApi, when: str) -> None:
    record = "delivery.deliver_safely(build_events(300))"
    if when == "at exit":
        record = f"routing.get_backend().flush(0); atexit.register(lambda: {record})"
    code = f"started = time.monotonic()\n{record}\n"
    ending = "atexit.register(lambda: print(time.monotonic() - started))\n"
    with api.hang():
        result = run_script(DJANGO + ending + code, api.url, "1", measured=False)

    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 5.0
    assert api.impressions == []


@pytest.mark.parametrize("value", ["50", 50, 50.0, Decimal(50)])
def test_number_from_the_environment_counts(value: object, settings: Any) -> None:
    settings.TOPSORT_QUEUE_SIZE = value
    assert thread.get_options().queue_size == 50


@pytest.mark.parametrize("value", ["many", None, -1, 0, "nan", float("inf"), [5]])
def test_setting_that_is_no_number_costs_no_event(value: object, settings: Any) -> None:
    settings.TOPSORT_QUEUE_SIZE = value
    assert thread.get_options().queue_size == 50_000


def test_child_that_is_forked_while_a_thread_loads_what_posting_needs_can_post(
    api: FakeApi,
) -> None:
    # The modules are half made then, by a thread that the child does not have.
    result = run_script(
        """
        import os, sys, time
        import django
        from django.conf import settings
        settings.configure(
            SECRET_KEY="tests-only",
            INSTALLED_APPS=["django_topsort"],
            TOPSORT_API_KEY="TSE_tests",
            TOPSORT_API_URL=sys.argv[1],
            TOPSORT_FLUSH_INTERVAL=0,
        )
        django.setup()
        from django_topsort.delivery import deliver_safely, flush
        from tests.sending.engine import build_event
        assert "requests" not in sys.modules
        deliver_safely([build_event(event_id="parent")])
        while "requests" not in sys.modules:
            time.sleep(0.001)
        child = os.fork()
        if not child:
            deliver_safely([build_event(event_id="child")])
            os._exit(0 if flush(20) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert flush(20)
        """,
        api.url,
        measured=False,
    )

    assert result.returncode == 0, result.stderr
    assert sorted(event["id"] for event in api.events) == ["child", "parent"]
