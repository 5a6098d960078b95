"""The threads of one process: when they post, what they survive, and who waits for whom."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from django_topsort.events import EVENT_KINDS, Event
from django_topsort.exceptions import (
    AuthenticationFailed,
    EverythingRefused,
    InvalidRequest,
    NoAnswer,
    RateLimited,
    ServerUnavailable,
)
from django_topsort.sending.crew import STARTING_SECONDS
from django_topsort.sending.farewells import MAX_UNSAID
from django_topsort.sending.wiring import SenderOptions
from django_topsort.sending.workers import Workers
from tests.sending.engine import (
    PATIENCE,
    Api,
    Clock,
    Ears,
    build_event,
    build_events,
    build_wiring,
    get_ids,
    wait_until,
)

NAME = "django-topsort"
# A batch goes out when it is full, or when a test asks for it.
PATIENT = SenderOptions(flush_interval=600.0)
AT_ONCE = SenderOptions(flush_interval=0.0)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def ears() -> Ears:
    return Ears()


Build = Callable[..., Workers]


@pytest.fixture
def build(api: Api, ears: Ears) -> Iterator[Build]:
    """Make workers, and end them with the test."""
    made: list[Workers] = []

    def build(options: SenderOptions | None = None, **wiring: Any) -> Workers:
        made.append(Workers(build_wiring(api, ears, options, **wiring)))
        return made[-1]

    wait_until(lambda: not get_threads())
    yield build
    api.meet = len
    for workers in made:
        workers.shutdown(0.0)
    wait_until(lambda: not get_threads())


def get_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def is_waiting(thread: threading.Thread) -> bool:
    """Whether a thread sleeps in a Condition."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is threading.Condition.wait.__code__


def wait_for_sleep() -> None:
    wait_until(lambda: bool(get_threads()) and all(map(is_waiting, get_threads())))


class Gate:
    """Holds requests until it is opened."""

    def __init__(self) -> None:
        self.is_open = threading.Event()

    def __call__(self, ids: list[str]) -> None:
        assert self.is_open.wait(PATIENCE)


class Failing:
    """Raises an error for so many requests."""

    def __init__(self, error: BaseException, times: int = 1_000_000) -> None:
        self.error = error
        self.left = times

    def __call__(self, ids: list[str]) -> None:
        if self.left > 0:
            self.left -= 1
            raise self.error


# Batches


def test_event_goes_out_after_the_flush_interval(build: Build, api: Api, ears: Ears) -> None:
    workers = build(SenderOptions(flush_interval=0.2))
    started = time.monotonic()
    workers.put([build_event()])
    wait_until(lambda: bool(ears.delivered_events))

    assert time.monotonic() - started >= 0.2
    assert api.requests == [["i-1"]]
    assert ears.threads == {NAME}


def test_events_of_several_calls_share_a_request(build: Build, api: Api) -> None:
    workers = build(PATIENT)
    for kind in EVENT_KINDS:
        for event in build_events(5, kind):
            workers.put([event])

    assert workers.flush(PATIENCE)
    assert [len(ids) for ids in api.requests] == [20]


def test_full_batch_goes_out_at_once(build: Build, api: Api, ears: Ears) -> None:
    workers = build(PATIENT)
    for event in build_events(49):
        workers.put([event])
    wait_for_sleep()
    assert api.requests == []

    workers.put(build_events(1, prefix="last"))
    wait_until(lambda: len(ears.delivered_events) == 50)
    assert len(api.requests) == 1


@pytest.mark.parametrize("page", [1, 24, 50, 1000])
def test_1000_impressions_make_21_requests_at_most(build: Build, api: Api, page: int) -> None:
    workers = build(PATIENT)
    events = build_events(1000)
    for start in range(0, 1000, page):
        workers.put(events[start : start + page])

    assert workers.flush(PATIENCE)
    assert len(api.requests) in {20, 21}
    assert sorted(api.taken) == sorted(get_ids(events))


def test_several_requests_are_in_flight(build: Build, api: Api) -> None:
    gate = api.meet = Gate()
    workers = build(SenderOptions(flush_interval=600.0, connections=8))
    workers.put(build_events(1000))
    wait_until(lambda: api.in_flight == 8)
    gate.is_open.set()

    assert workers.flush(PATIENCE)
    assert api.most_in_flight == 8
    assert max(len(ids) for ids in api.requests) == 50


def test_list_of_the_caller_may_change_after_put(build: Build, api: Api) -> None:
    workers = build(PATIENT)
    events = build_events(3)
    workers.put(events)
    events.clear()

    assert workers.flush(PATIENCE)
    assert len(api.taken) == 3


def test_fresh_event_wakes_a_thread_that_waits_for_a_failed_one(
    build: Build, api: Api, ears: Ears
) -> None:
    api.meet = Failing(NoAnswer(), times=1)
    # So great a random number makes the failed event wait for a quarter of an hour.
    workers = build(SenderOptions(flush_interval=0.01, idle_seconds=600.0), rand=lambda: 1000.0)
    workers.put(build_events(1, prefix="failed"))
    wait_until(lambda: len(ears.failures) == 1)
    wait_for_sleep()
    workers.put(build_events(1, prefix="fresh"))
    wait_until(lambda: api.taken == ["fresh-0"])

    assert get_ids(ears.delivered_events) == ["fresh-0"]


# Threads


def test_threads_start_with_the_first_event_and_end_when_idle(build: Build, ears: Ears) -> None:
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.02))
    assert workers.flush(PATIENCE)
    assert get_threads() == []

    for count in (1, 2, 3):
        workers.put([build_event(event_id=f"{count}")])
        wait_until(lambda: len(ears.delivered_events) == count)  # noqa: B023
        wait_until(lambda: not get_threads())


def test_thread_that_is_just_ending_leaves_no_event_behind(build: Build, ears: Ears) -> None:
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.0005))
    for number in range(300):
        workers.put([build_event(event_id=f"{number}")])
        time.sleep(0.0004 if number % 2 else 0.0006)
    wait_until(lambda: len(ears.delivered_events) == 300)

    assert len(set(get_ids(ears.delivered_events))) == 300


def test_idle_thread_stays_while_another_one_works(build: Build, api: Api, ears: Ears) -> None:
    gate = api.meet = Gate()
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.01))
    workers.put(build_events(120))
    wait_until(lambda: api.in_flight == 3)
    gate.is_open.set()
    wait_until(lambda: len(ears.delivered_events) == 120)
    wait_until(lambda: not get_threads())

    assert workers.is_empty


def test_thread_that_cannot_start_keeps_the_events_for_the_next(
    build: Build, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = build(AT_ONCE)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail_to_start)
        workers.put(build_events(3, prefix="early"))
        workers.put(build_events(3, prefix="also"))
        assert ears.settled == 0
    workers.put(build_events(1, prefix="late"))
    wait_until(lambda: len(ears.delivered_events) == 7)

    assert ears.threads == {NAME}


def fail_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_flush_posts_itself_when_no_thread_can_start(
    build: Build, api: Api, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    workers = build(PATIENT)
    workers.put(build_events(120))

    assert workers.flush(PATIENCE)
    assert len(ears.delivered_events) == 120
    assert ears.threads == {threading.current_thread().name}
    # A request is not to take longer than the flush may.
    assert all(limit is not None and 0 < limit <= PATIENCE for limit in api.limits)


def test_flush_without_threads_gives_up_in_time(
    build: Build, api: Api, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    api.meet = Failing(NoAnswer())
    workers = build(PATIENT, rand=lambda: 1000.0)
    workers.put(build_events(1))

    assert not workers.flush(1.0)
    assert len(ears.failures) == 1
    assert not workers.is_empty


def test_flush_without_threads_starts_one_for_what_is_left(
    build: Build, api: Api, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = build(PATIENT, rand=lambda: 1000.0)
    api.meet = Failing(NoAnswer(), times=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail_to_start)
        workers.put(build_events(1))

        def restore(error: object) -> None:
            patch.undo()

        ears.when_failed = restore
        assert not workers.flush(1.0)
    assert len(get_threads()) == 1
    assert workers.flush(PATIENCE)


def test_thread_that_never_began_is_replaced(
    build: Build, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    workers = build(SenderOptions(flush_interval=0.0, connections=1), clock=clock)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: None)
        workers.put(build_events(1, prefix="early"))
    workers.put(build_events(1, prefix="soon"))
    assert get_threads() == []  # it may be about to begin

    clock.now += STARTING_SECONDS
    workers.put(build_events(1, prefix="late"))
    wait_until(lambda: len(ears.delivered_events) == 3)


def test_thread_that_is_gone_without_a_word_is_replaced(
    build: Build, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = build(SenderOptions(flush_interval=0.0, connections=1))
    ran: list[threading.Thread] = []

    def run(thread: threading.Thread) -> None:
        ran.append(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "run", run)
        workers.put(build_events(1, prefix="early"))
        wait_until(lambda: bool(ran))
        ran[0].join()  # from Python 3.13 on it is not listed any more before it is over
    workers.put(build_events(1, prefix="late"))
    wait_until(lambda: len(ears.delivered_events) == 2)

    assert workers.flush(PATIENCE)


# Threads that are killed

# threading says nothing of a SystemExit, but pytest does.
kills = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def kill(thread: threading.Thread) -> None:
    """Throw a SystemExit into a thread; it arrives when the thread runs Python code again."""
    ident = ctypes.c_ulong(thread.ident or 0)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit)) == 1


@kills
def test_thread_killed_while_it_posts_loses_nothing(build: Build, api: Api, ears: Ears) -> None:
    killed = threading.Event()

    def meet(ids: list[str]) -> None:
        while not killed.is_set():
            time.sleep(0.001)

    api.meet = meet
    workers = build(AT_ONCE)
    workers.put(build_events(50))
    wait_until(lambda: api.in_flight == 1)
    (thread,) = get_threads()
    kill(thread)
    wait_until(lambda: not thread.is_alive())
    killed.set()
    wait_until(lambda: len(ears.delivered_events) == 50)

    assert ears.settled == 50
    assert workers.flush(PATIENCE)


@kills
def test_thread_killed_while_it_sleeps_is_replaced(build: Build, ears: Ears) -> None:
    workers = build(AT_ONCE)
    workers.put(build_events(1, prefix="early"))
    wait_until(lambda: len(ears.delivered_events) == 1)
    wait_for_sleep()
    (thread,) = get_threads()
    kill(thread)
    workers.put(build_events(1, prefix="late"))
    wait_until(lambda: len(ears.delivered_events) == 2)

    wait_until(lambda: not thread.is_alive())


@kills
def test_thread_killed_without_work_is_not_replaced(build: Build, ears: Ears) -> None:
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.05))
    workers.put(build_events(1))
    wait_until(lambda: len(ears.delivered_events) == 1)
    wait_for_sleep()
    kill(get_threads()[0])
    wait_until(lambda: not get_threads())

    assert workers.is_empty


@kills
def test_thread_killed_between_two_steps_gives_its_batch_back(
    build: Build, api: Api, ears: Ears
) -> None:
    clock = Clock()

    def exit_once() -> None:
        # It has taken a batch, and is about to wake another thread for the rest.
        if workers._backlog.in_flight and threading.current_thread().name == NAME:
            clock.hook = str
            raise SystemExit

    clock.hook = exit_once
    workers = build(AT_ONCE, clock=clock)
    workers.put(build_events(120))
    wait_until(lambda: clock.hook is str)

    assert workers.flush(PATIENCE)
    assert len(ears.delivered_events) == 120
    assert sorted(api.taken) == sorted(get_ids(build_events(120)))


@kills
def test_receiver_that_exits_keeps_the_figures_right(build: Build, api: Api, ears: Ears) -> None:
    def exit_once(events: Sequence[Event]) -> None:
        ears.when_delivered = len
        raise SystemExit

    def meet(ids: list[str]) -> None:
        if "impressions-1" in ids:
            raise InvalidRequest(status=400)

    api.meet = meet
    ears.when_delivered = exit_once
    workers = build(AT_ONCE)
    workers.put(build_events(4))
    wait_until(lambda: ears.settled == 4)

    assert len(ears.rejected_events) == 1
    assert workers.flush(PATIENCE)
    workers.put(build_events(4, prefix="more"))
    assert workers.flush(PATIENCE)
    assert ears.settled == 8


# Failures


@pytest.mark.parametrize("error", [ServerUnavailable(status=503), NoAnswer(), KeyError("ours")])
def test_failed_events_are_tried_again(
    build: Build, api: Api, ears: Ears, error: Exception
) -> None:
    api.meet = Failing(error, times=2)
    workers = build(AT_ONCE, rand=lambda: 0.0)
    workers.put(build_events(50))
    wait_until(lambda: len(ears.delivered_events) == 50)

    assert [len(ids) for ids in api.requests] == [50, 50, 50]
    assert [count for _, count in ears.failures] == [50, 50]
    assert workers.flush(PATIENCE)


def test_retry_after_is_kept(build: Build, api: Api, ears: Ears) -> None:
    times: list[float] = []

    def meet(ids: list[str]) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise RateLimited(status=429, retry_after=0.4)

    api.meet = meet
    workers = build(AT_ONCE)
    workers.put(build_events(1))
    workers.put(build_events(1, prefix="other"))
    wait_until(lambda: len(ears.delivered_events) == 2)

    assert times[1] - times[0] >= 0.4


def test_wrong_key_keeps_the_events_and_asks_seldom(build: Build, api: Api, ears: Ears) -> None:
    clock = Clock()
    api.meet = Failing(AuthenticationFailed(status=401))
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.05), clock=clock)
    workers.put(build_events(1, "purchases"))
    wait_until(lambda: len(ears.failures) == 1)
    for number in range(200):
        workers.put(build_events(10, prefix=f"{number}"))
    assert not workers.flush(5.0)
    assert [len(api.requests), ears.settled] == [1, 0]

    clock.now += 60.0
    api.meet = len
    assert workers.flush(PATIENCE)
    assert len(ears.delivered_events) == 2001


def test_outage_loses_nothing_and_its_end_is_noticed(build: Build, api: Api, ears: Ears) -> None:
    clock = Clock()
    api.meet = Failing(NoAnswer())
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.05), clock=clock)
    events = [event for kind in EVENT_KINDS for event in build_events(500, kind)]
    for start in range(0, 2000, 100):
        workers.put(events[start : start + 100])
        clock.now += 1.0
        workers.flush(0.0)
    wait_until(lambda: len(ears.failures) >= 5)
    requests = len(api.requests)
    assert requests <= 5 + 8 + 20

    api.meet = len

    def is_over() -> bool:
        clock.now += 0.5
        return workers.flush(0.0)

    wait_until(is_over)
    assert sorted(get_ids(ears.delivered_events)) == sorted(get_ids(events))
    assert ears.settled == 2000


def test_flapping_api_gets_everything(build: Build, api: Api, ears: Ears) -> None:
    calls = iter(range(1_000_000))

    def meet(ids: list[str]) -> None:
        if next(calls) % 2:
            raise ServerUnavailable(status=503)

    api.meet = meet
    workers = build(AT_ONCE, rand=lambda: 0.0)
    events = build_events(1000)
    for start in range(0, 1000, 10):
        workers.put(events[start : start + 10])
    wait_until(lambda: workers.flush(PATIENCE))

    assert sorted(get_ids(ears.delivered_events)) == sorted(get_ids(events))


def test_open_circuit_costs_no_cpu(build: Build, api: Api, ears: Ears) -> None:
    clock = Clock()
    api.meet = Failing(AuthenticationFailed(status=401))
    workers = build(SenderOptions(flush_interval=0.0), clock=clock)
    workers.put(build_events(1))
    wait_until(lambda: len(ears.failures) == 1)
    for number in range(8):
        workers.put(build_events(60, prefix=f"{number}"))
    wait_for_sleep()
    calls = clock.calls
    time.sleep(0.3)

    assert clock.calls - calls < 50
    assert len(api.requests) == 1


def test_account_that_is_refused_everything_costs_few_requests_and_no_purchase(
    build: Build, api: Api, ears: Ears
) -> None:
    clock = Clock()
    api.meet = Failing(InvalidRequest(status=400, err_code="bad_request"))
    workers = build(
        SenderOptions(flush_interval=0.0, idle_seconds=0.05, connections=1), clock=clock
    )
    purchases = build_events(200, "purchases")
    workers.put([*purchases, *build_events(200)])
    wait_until(lambda: any(isinstance(error, EverythingRefused) for error, _ in ears.failures))
    assert not workers.flush(1.0)
    requests = len(api.requests)

    assert requests <= 3 * 20
    assert {event.kind for event, _ in ears.rejected_events} <= {"impressions"}
    api.meet = len

    def is_over() -> bool:
        clock.now += 0.5
        return workers.flush(0.0)

    wait_until(is_over)
    delivered = [event for event in ears.delivered_events if event.kind == "purchases"]
    assert sorted(get_ids(delivered)) == sorted(get_ids(purchases))
    assert ears.settled == 400


def test_event_that_is_recorded_twice_is_delivered_once(build: Build, api: Api, ears: Ears) -> None:
    workers = build(SenderOptions(flush_interval=60.0))
    workers.put(build_events(2, "purchases"))
    workers.put(build_events(1, "purchases"))
    assert workers.flush(PATIENCE)

    assert api.taken == ["purchases-0", "purchases-1"]
    assert ears.reasons == {"duplicate": 1}
    assert ears.settled == 3


# Bounds


def test_overflow_is_counted(build: Build, api: Api, ears: Ears) -> None:
    gate = api.meet = Gate()
    workers = build(SenderOptions(flush_interval=0.0, queue_size=100, connections=2))
    for number in range(50):
        workers.put(build_events(10, prefix=f"{number}"))
    gate.is_open.set()
    assert workers.flush(PATIENCE)

    assert ears.reasons == {"overflow": len(ears.dropped_events)}
    assert ears.settled == 500
    assert len(ears.dropped_events) >= 300
    workers.put(build_events(100, prefix="more"))
    assert workers.flush(PATIENCE)
    assert ears.settled == 600
    assert len(ears.dropped_events) <= 400


def test_flush_says_what_had_overflowed(
    build: Build, api: Api, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    workers = build(SenderOptions(queue_size=0))
    workers.put(build_events(3))

    assert workers.flush(PATIENCE)
    assert ears.reasons == {"overflow": 3}
    assert api.requests == []


def test_events_that_failed_for_long_are_given_up(build: Build, api: Api, ears: Ears) -> None:
    clock = Clock()
    api.meet = Failing(ServerUnavailable(status=500))
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=0.01), clock=clock)
    workers.put(build_events(2))

    def is_over() -> bool:
        clock.now += 10.0
        return workers.flush(0.0)

    wait_until(is_over)
    assert ears.reasons == {"expired": 2}
    assert len(api.requests) >= 6


def test_overflow_is_said_by_the_caller_when_no_thread_has_the_time(
    build: Build, api: Api, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    workers = build(SenderOptions(queue_size=10))
    workers.put(build_events(MAX_UNSAID + 10))
    assert ears.settled == 0

    workers.put(build_events(1, prefix="more"))
    assert ears.reasons == {"overflow": MAX_UNSAID + 1}


# Flush


def test_flush_without_events_is_true(build: Build) -> None:
    assert build().flush(0.0)


def test_flush_waits_for_what_is_on_its_way(build: Build, api: Api, ears: Ears) -> None:
    gate = api.meet = Gate()
    workers = build(AT_ONCE)
    workers.put(build_events(1))
    wait_until(lambda: api.in_flight == 1)
    assert not workers.flush(0.05)

    threading.Timer(0.05, gate.is_open.set).start()
    assert workers.flush(PATIENCE)
    assert len(ears.delivered_events) == 1


def test_flush_gives_up_at_once_when_topsort_is_not_asked_in_time(
    build: Build, api: Api, ears: Ears
) -> None:
    api.meet = Failing(AuthenticationFailed(status=401))
    workers = build(AT_ONCE)
    workers.put(build_events(1))
    wait_until(lambda: len(ears.failures) == 1)
    started = time.monotonic()

    assert not workers.flush(50.0)
    assert time.monotonic() - started < 20


def test_flush_tries_failed_events_at_once(build: Build, api: Api, ears: Ears) -> None:
    api.meet = Failing(NoAnswer(), times=1)
    workers = build(AT_ONCE, rand=lambda: 1000.0)
    workers.put(build_events(1))
    wait_until(lambda: len(ears.failures) == 1)
    wait_for_sleep()

    assert workers.flush(PATIENCE)
    assert len(ears.delivered_events) == 1


def test_flush_from_8_threads_at_once(build: Build, ears: Ears) -> None:
    workers = build(PATIENT)
    workers.put(build_events(500))
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(workers.flush(PATIENCE))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert results == [True] * 8
    assert len(ears.delivered_events) == 500
    workers.put(build_events(1, prefix="later"))
    wait_for_sleep()
    assert len(ears.delivered_events) == 500  # the interval counts again


@pytest.mark.parametrize("has_threads", [True, False])
def test_flush_and_put_from_a_receiver(
    build: Build, ears: Ears, monkeypatch: pytest.MonkeyPatch, has_threads: bool
) -> None:
    if not has_threads:
        monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    workers = build(PATIENT)
    results: list[bool] = []

    def receive(events: Sequence[Event]) -> None:
        if len(results) < 3:
            workers.put([build_event(event_id=f"more-{len(results)}")])
            results.append(workers.flush(PATIENCE))

    ears.when_delivered = receive
    workers.put(build_events(1))

    assert workers.flush(PATIENCE)
    assert set(results) == {False}
    assert len(results) >= 3
    assert len(ears.delivered_events) == 1 + len(results)


def test_flush_waits_for_the_receivers(build: Build, ears: Ears) -> None:
    done: list[bool] = []

    def receive(events: Sequence[Event]) -> None:
        time.sleep(0.1)
        done.append(True)

    ears.when_delivered = receive
    workers = build(PATIENT)
    workers.put(build_events(1))

    assert workers.flush(PATIENCE)
    assert done == [True]


def test_blocked_receiver_does_not_block_flush_for_ever(build: Build, ears: Ears) -> None:
    gate = Gate()
    ears.when_delivered = lambda events: gate(get_ids(events))
    workers = build(PATIENT)
    workers.put(build_events(1))

    assert not workers.flush(0.1)
    gate.is_open.set()
    assert workers.flush(PATIENCE)


# The end


def test_shutdown_sends_what_waits(build: Build, ears: Ears) -> None:
    workers = build(PATIENT)
    workers.put(build_events(500))

    assert workers.shutdown(PATIENCE)
    assert len(ears.delivered_events) == 500
    wait_until(lambda: not get_threads())


def test_shutdown_keeps_to_its_time_and_counts_once(build: Build, api: Api, ears: Ears) -> None:
    gate = api.meet = Gate()
    workers = build(AT_ONCE)
    workers.put(build_events(120))
    workers.put(build_events(7, "purchases"))
    wait_until(lambda: api.in_flight >= 3)
    started = time.monotonic()

    assert not workers.shutdown(0.2)
    assert time.monotonic() - started < 10
    assert ears.reasons == {"shutdown": 127}
    gate.is_open.set()
    wait_until(lambda: not get_threads())
    assert ears.settled == 127


def test_shutdown_says_what_had_overflowed(
    build: Build, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    workers = build(SenderOptions(queue_size=10))
    workers.put(build_events(12))
    workers.shutdown(-1.0)

    assert ears.reasons == {"overflow": 2, "shutdown": 10}


def test_put_after_shutdown_is_counted(build: Build, api: Api, ears: Ears) -> None:
    workers = build()
    assert workers.shutdown(PATIENCE)
    workers.put(build_events(3))

    assert ears.reasons == {"shutdown": 3}
    assert api.requests == []
    assert workers.shutdown(PATIENCE)
    assert workers.flush(PATIENCE)


def test_shutdown_of_a_receiver_ends_at_once(build: Build, ears: Ears) -> None:
    workers = build(PATIENT)
    results: list[bool] = []
    ears.when_delivered = lambda events: results.append(workers.shutdown(PATIENCE))
    workers.put(build_events(1))
    wait_until(lambda: workers.flush(PATIENCE))

    assert results == [True]


# In the midst of ourselves: what garbage collection or a signal handler may do


def test_all_that_is_done_in_the_midst_of_put_ends_at_once(build: Build, ears: Ears) -> None:
    clock = Clock()
    results: list[bool] = []

    def interfere() -> None:
        clock.hook = str
        workers.put([build_event(event_id="nested")])
        results.append(workers.flush(PATIENCE))
        results.append(workers.shutdown(PATIENCE))

    workers = build(PATIENT, clock=clock)
    clock.hook = interfere
    workers.put([build_event(event_id="outer")])

    assert results == [False, False]
    assert workers.flush(PATIENCE)
    assert sorted(get_ids(ears.delivered_events)) == ["nested", "outer"]


def test_event_recorded_by_a_thread_that_goes_to_sleep_is_seen(build: Build, ears: Ears) -> None:
    clock = Clock()
    workers = build(SenderOptions(flush_interval=0.0, idle_seconds=600.0), clock=clock)

    def record() -> None:
        # The last look at the clock before it sleeps, with nothing left to do.
        is_ours = threading.current_thread().name == NAME and workers._turn.is_mine
        if is_ours and ears.delivered_events and not workers._backlog.in_flight:
            clock.hook = str
            workers.put([build_event(event_id="nested")])

    clock.hook = record
    workers.put([build_event(event_id="outer")])
    wait_until(lambda: len(ears.delivered_events) == 2)

    assert get_ids(ears.delivered_events) == ["outer", "nested"]


def test_64_threads_lose_nothing_and_count_right(build: Build, ears: Ears) -> None:
    workers = build(SenderOptions(flush_interval=0.01))

    def record(name: int) -> None:
        for number in range(1000):
            workers.put([build_event(EVENT_KINDS[number % 4], f"{name}-{number}")])

    threads = [threading.Thread(target=record, args=[name]) for name in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert workers.flush(2 * PATIENCE)
    delivered = get_ids(ears.delivered_events)
    assert len(delivered) + len(ears.dropped_events) == 64_000
    assert len({*delivered, *ears.dropped_ids}) == 64_000
    assert set(ears.reasons) <= {"overflow"}


def has_more(crashed: list[type[BaseException]], seen: int) -> bool:
    return len(crashed) > seen


def test_error_that_lasts_makes_no_storm_of_threads(
    build: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: crashed.append(args.exc_type))
    wrong: Any = "0.5"
    workers = build(SenderOptions(flush_interval=wrong))

    for _ in range(3):
        seen = len(crashed)
        workers.put(build_events(1))
        wait_until(partial(has_more, crashed, seen))

    wait_until(lambda: not get_threads())
    assert crashed == [TypeError] * 3
