"""What cannot be kept is given to the overflow; what that does not take is dropped, and said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from django_topsort.events import Event
from django_topsort.exceptions import ApiError, AuthenticationFailed, NoAnswer
from django_topsort.sending.farewells import MAX_HELD, MAX_UNSAID, PART
from django_topsort.sending.wiring import SenderOptions, Wiring
from django_topsort.sending.workers import Workers
from django_topsort.wire import encode_request
from tests.sending.engine import (
    PATIENCE,
    Clock,
    Ears,
    build_event,
    build_events,
    get_ids,
    wait_until,
)

Build = Callable[..., Workers]


class Overflow:
    """Takes what it is given, or not."""

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.most = 1_000_000
        self.threads: set[str] = set()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_entered = threading.Event()

    def __call__(self, events: Sequence[Event]) -> Sequence[Event]:
        self.threads.add(threading.current_thread().name)
        self.is_entered.set()
        assert self.may_go_on.wait(PATIENCE)
        some, left = events[: self.most], events[self.most :]
        self.taken += some
        return left


class Api:
    """Fails, or hangs, for as long as it is told to."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: ApiError = NoAnswer("nobody is there")
        self.count = 0

    def __call__(self, body: bytes, limit: float | None = None) -> None:
        self.count += 1
        self.is_asked.set()
        assert self.may_answer.wait(PATIENCE)
        raise self.error


@pytest.fixture
def overflow() -> Overflow:
    return Overflow()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def build(api: Api, ears: Ears, overflow: Overflow) -> Iterator[Build]:
    made: list[Workers] = []

    def build(
        options: SenderOptions | None = None,
        clock: Clock | None = None,
        *,
        has_overflow: bool = False,
    ) -> Workers:
        wiring = Wiring(
            post=api,
            encode=encode_request,
            report=ears,
            options=lambda: options or SenderOptions(flush_interval=3600, idle_seconds=3600),
            overflow=overflow,
            has_overflow=lambda: has_overflow,
            clock=clock or time.monotonic,
        )
        made.append(Workers(wiring))
        return made[-1]

    yield build
    api.may_answer.set()
    overflow.may_go_on.set()
    for workers in made:
        workers.shutdown(0)


def test_what_finds_no_place_goes_to_the_overflow(
    build: Build, ears: Ears, overflow: Overflow
) -> None:
    workers = build(SenderOptions(flush_interval=3600, queue_size=10))
    workers.put(build_events(30))

    wait_until(lambda: len(overflow.taken) == 20)
    assert ears.settled == 0
    assert overflow.threads == {"django-topsort"}


def test_what_the_overflow_does_not_take_is_dropped(
    build: Build, ears: Ears, overflow: Overflow
) -> None:
    overflow.most = 15
    workers = build(SenderOptions(flush_interval=3600, queue_size=10))
    workers.put(build_events(30))

    wait_until(lambda: ears.settled == 5)
    assert ears.reasons == {"overflow": 5}


@pytest.mark.parametrize("connections", [1, 8])
def test_what_is_left_when_the_process_ends_goes_to_the_overflow(
    build: Build, ears: Ears, api: Api, overflow: Overflow, connections: int
) -> None:
    """Also when all threads wait for an answer that does not come."""
    options = SenderOptions(flush_interval=0, connections=connections, shutdown_timeout=1)
    api.may_answer.clear()
    workers = build(options)
    workers.put(build_events(120))
    assert api.is_asked.wait(PATIENCE)

    assert workers.shutdown(0.2) is False

    assert sorted(get_ids(overflow.taken)) == sorted(get_ids(build_events(120)))
    assert ears.dropped_events == []


def test_end_does_not_wait_for_an_api_that_is_known_to_be_away(
    build: Build, api: Api, overflow: Overflow
) -> None:
    """The time of a process that ends is for the overflow then."""
    options = SenderOptions(flush_interval=0, idle_seconds=0.01)
    api.error = AuthenticationFailed(status=401)
    workers = build(options, has_overflow=True)
    workers.put(build_events(3))
    wait_until(lambda: workers.get_state()["is_paused"])
    asked = api.count
    begun = time.monotonic()

    assert workers.shutdown(3 * PATIENCE) is False

    assert time.monotonic() - begun < PATIENCE
    assert api.count == asked
    assert len(overflow.taken) == 3


def test_what_comes_after_the_end_goes_to_the_overflow(
    build: Build, ears: Ears, overflow: Overflow
) -> None:
    workers = build()
    workers.shutdown(0)
    overflow.most = 1

    workers.put(build_events(3))

    assert len(overflow.taken) == 1
    assert ears.reasons == {"shutdown": 2}


def test_overflow_that_hangs_does_not_hold_up_the_end(
    build: Build, ears: Ears, overflow: Overflow, caplog: pytest.LogCaptureFixture
) -> None:
    overflow.may_go_on.clear()
    workers = build()
    workers.put([*build_events(PART + 3), *build_events(2, "purchases")])

    assert workers.shutdown(0.3) is False

    # What is being written is neither dropped nor kept yet; the purchases are among it.
    assert ears.reasons == {"shutdown": 5}
    assert {event.kind for event, _ in ears.dropped_events} == {"impressions"}
    assert f"ending while the overflow takes events={PART}" in caplog.text


def test_what_failed_for_too_long_goes_to_the_overflow(
    build: Build, ears: Ears, overflow: Overflow
) -> None:
    clock = Clock()
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.01), clock=clock)
    workers.put(build_events(2))

    def is_over() -> bool:
        clock.now += 10.0
        return workers.flush(0.0)

    wait_until(is_over)
    assert len(overflow.taken) == 2
    assert ears.dropped_events == []


def test_hand_over_does_not_wait_for_the_overflow_when_no_thread_has_the_time(
    build: Build, ears: Ears, api: Api, overflow: Overflow
) -> None:
    api.may_answer.clear()
    workers = build(SenderOptions(flush_interval=0, connections=1, queue_size=10))
    workers.put([build_event(event_id="first")])
    assert api.is_asked.wait(PATIENCE)
    overflow.may_go_on.clear()

    workers.put(build_events(MAX_UNSAID + 20))
    assert overflow.is_entered.wait(PATIENCE)
    workers.put(build_events(MAX_UNSAID + 20, prefix="more"))

    assert overflow.threads == {"django-topsort-overflow"}
    assert overflow.taken == []
    overflow.may_go_on.set()
    wait_until(lambda: len(overflow.taken) > MAX_UNSAID)


def test_what_the_overflow_cannot_keep_up_with_is_dropped(
    build: Build, ears: Ears, api: Api, overflow: Overflow
) -> None:
    api.may_answer.clear()
    workers = build(SenderOptions(flush_interval=0, connections=1, queue_size=10))
    workers.put([build_event(event_id="first")])
    assert api.is_asked.wait(PATIENCE)

    workers.put(build_events(MAX_HELD + 100))

    assert ears.reasons.total() > MAX_HELD
    assert set(ears.reasons) == {"overflow"}


def test_caller_does_it_where_no_thread_can_be_started(
    build: Build, ears: Ears, overflow: Overflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    workers = build()
    workers.put(build_events(3))

    workers.shutdown(0)

    assert len(overflow.taken) == 3
    assert overflow.threads == {threading.current_thread().name}


def test_receiver_that_ends_the_process_does_not_wait_for_itself(
    build: Build, ears: Ears, overflow: Overflow
) -> None:
    answers: list[bool] = []
    workers = build(SenderOptions(flush_interval=0, idle_seconds=0.01))

    def end(error: object) -> None:
        ears.when_failed = str
        answers.append(workers.shutdown(PATIENCE))

    ears.when_failed = end
    workers.put(build_events(3))

    wait_until(lambda: answers == [False])
    wait_until(lambda: len(overflow.taken) == 3)
