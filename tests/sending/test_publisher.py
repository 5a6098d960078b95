"""The publisher: how long it holds anybody up, and whose each event is in the end."""

from __future__ import annotations

import contextlib
import os
import signal
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_topsort.events import Event
from django_topsort.sending import publisher as module
from django_topsort.sending.circuit import FAILURES_TO_OPEN
from django_topsort.sending.publisher import PATIENCE as LONGEST_WAIT
from django_topsort.sending.publisher import Publisher
from tests.scripts import run_script
from tests.sending.engine import PATIENCE, Clock, build_event, build_events, get_ids, wait_until

# A loaded machine may wake a thread late; a caller that waits for the broker waits for ever here.
AT_ONCE = LONGEST_WAIT + 5.0


class Broker:
    """Takes messages, fails, or hangs until it is released."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.asked = 0
        self.error: BaseException | None = None
        self.entered = threading.Semaphore(0)
        self.released = threading.Event()
        self.released.set()
        self.then: Callable[[], object] = str

    def __call__(self, message: Any) -> None:
        self.asked += 1
        self.entered.release()
        assert self.released.wait(PATIENCE)
        self.then()
        if self.error is not None:
            raise self.error
        self.taken.append(message)

    def hang(self) -> None:
        self.released.clear()

    def wait_for_entry(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)


class Ledger:
    """What the publisher says of events."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.given_back: list[str] = []
        self.failures: list[tuple[str, int]] = []
        self.when_given_back: Callable[[], object] = str

    def publish(self, events: Sequence[Event]) -> None:
        self.published += get_ids(events)

    def give_back(self, events: Sequence[Event]) -> None:
        self.when_given_back()
        self.given_back += get_ids(events)

    def fail(self, error: BaseException, count: int) -> None:
        self.failures.append((type(error).__name__, count))


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.released.set()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def build(broker: Broker, ledger: Ledger, **options: Any) -> Publisher:
    return Publisher(broker, ledger.publish, ledger.give_back, ledger.fail, **options)


@pytest.fixture
def publisher(broker: Broker, ledger: Ledger, clock: Clock) -> Iterator[Publisher]:
    publisher = build(broker, ledger, clock=clock, rand=lambda: 1.0)
    yield publisher
    broker.released.set()
    publisher.close(PATIENCE)


def put_later(publisher: Publisher, name: str, answers: dict[str, Any]) -> threading.Thread:
    """Put one event in another thread; its answer is in ``answers``."""

    def work() -> None:
        answers[name] = publisher.put(name, [build_event(event_id=name)], PATIENCE)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def get_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "django-topsort-publisher"]


def test_message_that_the_broker_takes_is_settled(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    assert publisher.put("message", build_events(2), PATIENCE)
    assert publisher.flush(PATIENCE)

    assert broker.taken == ["message"]
    assert ledger.published == ["impressions-0", "impressions-1"]
    assert not publisher.is_paused()


def test_message_that_the_broker_refuses_is_the_callers(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.error = OSError("no broker")

    assert not publisher.put("message", build_events(2), PATIENCE)
    assert publisher.flush(PATIENCE)
    assert ledger.failures == [("OSError", 2)]
    assert (ledger.published, ledger.given_back) == ([], [])


def test_what_a_receiver_throws_in_the_thread_costs_the_caller_nothing(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.error = SystemExit(1)

    assert not publisher.put("message", build_events(1), PATIENCE)
    broker.error = None
    assert publisher.put("next", [build_event(event_id="next")], PATIENCE)
    assert ledger.failures == [("SystemExit", 1)]


def test_caller_leaves_a_broker_that_hangs_after_50_ms(
    publisher: Publisher, broker: Broker, ledger: Ledger, clock: Clock
) -> None:
    broker.hang()
    began = time.monotonic()
    assert publisher.put("hanging", [build_event(event_id="hanging")])
    waited = time.monotonic() - began
    assert LONGEST_WAIT <= waited < AT_ONCE

    clock.now += LONGEST_WAIT + 0.001
    assert publisher.is_paused()
    assert not publisher.put("next", [build_event(event_id="next")], PATIENCE)
    assert not publisher.flush(0)
    broker.released.set()
    assert publisher.flush(PATIENCE)
    assert ledger.published == ["hanging"]
    assert broker.taken == ["hanging"]
    assert not publisher.is_paused()


def test_what_nobody_waits_for_any_more_is_given_back_when_it_fails(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.hang()
    broker.error = OSError("timed out")
    assert publisher.put("hanging", [build_event(event_id="hanging")], 0.3)

    broker.released.set()
    assert publisher.flush(PATIENCE)
    assert ledger.given_back == ["hanging"]
    assert ledger.published == []


def test_flush_waits_until_the_events_are_given_back(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    giving, given = threading.Event(), threading.Event()

    def wait() -> None:
        giving.set()
        assert given.wait(PATIENCE)

    ledger.when_given_back = wait
    broker.hang()
    broker.error = OSError("timed out")
    assert publisher.put("hanging", [build_event(event_id="hanging")], 0.3)
    broker.released.set()
    assert giving.wait(PATIENCE)

    assert not publisher.flush(0.01)
    threading.Timer(0.05, given.set).start()
    # One that ends in between waits for it, and does not give it back a second time.
    assert publisher.close(PATIENCE) is False
    assert ledger.given_back == ["hanging"]


def test_message_behind_another_is_taken_back_when_its_caller_goes(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.hang()
    answers: dict[str, Any] = {}
    first = put_later(publisher, "first", answers)
    broker.wait_for_entry()

    assert not publisher.put("second", [build_event(event_id="second")])  # the clock stands still
    broker.released.set()
    first.join(PATIENCE)
    assert publisher.flush(PATIENCE)
    assert answers == {"first": True}
    assert broker.taken == ["first"]
    assert (ledger.published, ledger.given_back) == (["first"], [])


def test_without_patience_nothing_is_tried(publisher: Publisher, broker: Broker) -> None:
    assert not publisher.put("message", build_events(1), 0.0)
    assert broker.asked == 0


def test_broker_that_fails_is_asked_now_and_then(
    publisher: Publisher, broker: Broker, clock: Clock
) -> None:
    broker.error = OSError("no broker")
    for _ in range(FAILURES_TO_OPEN + 3):
        assert not publisher.put("message", build_events(1), PATIENCE)

    assert broker.asked == FAILURES_TO_OPEN
    assert publisher.is_paused()
    broker.error = None
    clock.now += 60
    assert publisher.put("message", build_events(1), PATIENCE)
    assert not publisher.is_paused()


def test_thread_without_work_ends_and_the_next_message_starts_another(
    publisher: Publisher, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    assert publisher.put("one", build_events(1), PATIENCE)
    wait_until(lambda: publisher._thread is None)

    assert publisher.put("two", build_events(1), PATIENCE)
    assert broker.taken == ["one", "two"]


def test_thread_that_is_not_the_publishers_own_ends(publisher: Publisher) -> None:
    """As one whose start a signal's handler has broken off: it must not work beside another."""
    assert publisher.put("one", build_events(1), PATIENCE)
    thread = publisher._thread
    assert thread is not None
    with publisher._lock:
        publisher._thread = None
        publisher._changed.notify_all()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert publisher.put("two", build_events(1), PATIENCE)


def test_job_that_its_caller_has_taken_back_is_passed_over(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    """A signal's handler may come between the taking back and the removal from the queue."""
    broker.hang()
    answers: dict[str, Any] = {}
    first = put_later(publisher, "first", answers)
    broker.wait_for_entry()
    second = put_later(publisher, "second", answers)
    wait_until(lambda: len(publisher._queue) == 1)
    with publisher._lock:
        publisher._queue[0].state = module._State.FAILED
        publisher._changed.notify_all()
    broker.released.set()
    first.join(PATIENCE)
    second.join(PATIENCE)

    assert publisher.flush(PATIENCE)
    assert answers == {"first": True, "second": False}
    assert broker.taken == ["first"]


def test_process_without_threads_leaves_the_events_to_the_caller(
    publisher: Publisher, broker: Broker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert not publisher.put("one", [build_event(event_id="one")])
    assert broker.taken == []
    assert ledger.published == ledger.given_back == []
    assert publisher.flush(0)


def _throw(*args: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Throw KeyboardInterrupt into the main thread after ``seconds``, as servers do."""
    before = signal.signal(signal.SIGALRM, _throw)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("is_well", [True, False])
def test_caller_that_is_stopped_leaves_its_events_to_the_thread(
    publisher: Publisher, broker: Broker, ledger: Ledger, *, is_well: bool
) -> None:
    broker.hang()
    broker.error = None if is_well else OSError("no broker")
    with alarm(0.02), pytest.raises(KeyboardInterrupt):
        publisher.put("stopped", [build_event(event_id="stopped")], PATIENCE)
    broker.released.set()

    assert publisher.flush(PATIENCE)
    assert (ledger.published, ledger.given_back) == (
        (["stopped"], []) if is_well else ([], ["stopped"])
    )


def test_caller_that_is_stopped_in_the_queue_leaves_its_events_there(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.hang()
    answers: dict[str, Any] = {}
    first = put_later(publisher, "first", answers)
    broker.wait_for_entry()
    with alarm(0.02), pytest.raises(KeyboardInterrupt):
        publisher.put("second", [build_event(event_id="second")], PATIENCE)
    broker.released.set()
    first.join(PATIENCE)

    assert publisher.flush(PATIENCE)
    assert broker.taken == ["first", "second"]
    assert sorted(ledger.published) == ["first", "second"]


def test_caller_that_is_stopped_before_the_queue_gets_its_events_away(
    publisher: Publisher, ledger: Ledger, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_start", _throw)

    with pytest.raises(KeyboardInterrupt):
        publisher.put("early", [build_event(event_id="early")], PATIENCE)
    assert ledger.given_back == ["early"]
    assert broker.asked == 0


def test_what_is_recorded_while_the_broker_is_asked_is_the_callers(
    publisher: Publisher, broker: Broker
) -> None:
    """A log handler of the broker's client may record: its locks are not to be taken twice."""
    answers: list[bool] = []

    def record() -> None:
        answers.append(publisher.put("inner", build_events(1)))
        answers.append(publisher.flush(PATIENCE))
        answers.append(publisher.close(PATIENCE))

    broker.then = record
    assert publisher.put("outer", build_events(1), PATIENCE)
    assert answers == [False, False, False]
    assert broker.taken == ["outer"]


def test_what_is_recorded_in_the_midst_of_a_put_is_the_callers(
    publisher: Publisher, broker: Broker, clock: Clock
) -> None:
    answers: list[bool] = []

    def record() -> None:
        clock.hook = str
        answers.append(publisher.put("inner", build_events(1), PATIENCE))

    clock.hook = record
    assert publisher.put("outer", build_events(1), PATIENCE)
    assert answers == [False]
    assert broker.taken == ["outer"]


def test_close_gives_back_what_hangs_once(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.hang()
    assert publisher.put("hanging", [build_event(event_id="hanging")], 0.3)

    assert publisher.close(0.01)
    assert not publisher.close(0.01)
    assert ledger.given_back == ["hanging"]
    assert not publisher.put("late", build_events(1), PATIENCE)
    broker.released.set()
    wait_until(lambda: not get_threads())
    assert (ledger.published, ledger.given_back) == ([], ["hanging"])


def test_close_tells_those_who_wait_that_their_events_are_theirs(
    publisher: Publisher, broker: Broker, ledger: Ledger
) -> None:
    broker.hang()
    answers: dict[str, Any] = {}
    first = put_later(publisher, "first", answers)
    broker.wait_for_entry()
    second = put_later(publisher, "second", answers)
    wait_until(lambda: len(publisher._queue) == 1)

    assert not publisher.close(0.01)
    first.join(PATIENCE)
    second.join(PATIENCE)
    assert answers == {"first": False, "second": False}
    assert ledger.given_back == []


def test_close_without_anything_is_quick_and_starts_nothing(broker: Broker, ledger: Ledger) -> None:
    publisher = build(broker, ledger)
    before = get_threads()  # of other tests, which idle for a while

    assert not publisher.close(PATIENCE)
    assert not publisher.close(PATIENCE)
    assert [thread for thread in get_threads() if thread not in before] == []


def test_callers_in_many_threads_get_every_event_to_one_place(
    broker: Broker, ledger: Ledger
) -> None:
    count = [0]

    def stumble() -> None:
        count[0] += 1
        if count[0] % 7 == 0:
            time.sleep(0.01)
        if count[0] % 5 == 0:
            raise OSError("no broker")

    broker.then = stumble
    publisher = build(broker, ledger)
    mine: list[str] = []

    def work(number: int) -> None:
        for one in range(40):
            name = f"{number}-{one}"
            if not publisher.put(name, [build_event(event_id=name)], 0.02):
                mine.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert publisher.flush(PATIENCE)
    publisher.close(PATIENCE)

    ends = Counter([*ledger.published, *ledger.given_back, *mine])
    assert len(ends) == 320
    assert set(ends.values()) == {1}
    assert sorted(ledger.published) == sorted(broker.taken)
    wait_until(lambda: not get_threads())


class Turns:
    """Lets a broker's client end when a test says so, and as it says."""

    def __init__(self) -> None:
        self.given = threading.Semaphore(0)
        self.outcomes: list[bool] = []

    def give(self, *, is_well: bool) -> None:
        self.outcomes.append(is_well)
        self.given.release()

    def wait(self) -> None:
        assert self.given.acquire(timeout=PATIENCE)
        if not self.outcomes.pop(0):
            raise OSError("no broker")


STEPS = st.lists(st.sampled_from(["put", "leave", "stop", "take", "fail", "close"]), max_size=14)


@settings(max_examples=60)
@given(STEPS)
def test_each_event_has_one_owner_whatever_happens_in_which_order(steps: list[str]) -> None:
    """Of the broker, of whom it is given back to, or of the caller; never of two, nor of nobody."""
    broker, ledger = Broker(), Ledger()
    clock = Clock()
    publisher = build(broker, ledger, clock=clock)
    mine: list[str] = []
    named: list[str] = []
    turn = Turns()
    broker.then = turn.wait
    for number, step in enumerate(steps):
        name = f"event-{number}"
        if step in {"put", "leave", "stop"}:
            named.append(name)
            stopping = _interrupting(publisher) if step == "stop" else contextlib.nullcontext()
            with contextlib.suppress(KeyboardInterrupt), stopping:
                if not publisher.put(name, [build_event(event_id=name)], 0.002):
                    mine.append(name)
            if step == "leave":
                clock.now += 10
        elif step == "close":
            publisher.close(0.0)
        else:
            turn.give(is_well=step == "take")
            publisher.flush(0.002)
    for _ in steps:
        turn.give(is_well=True)
    assert publisher.flush(PATIENCE)
    publisher.close(PATIENCE)

    ends = Counter([*ledger.published, *ledger.given_back, *mine])
    assert ends == Counter(named)


@contextlib.contextmanager
def _interrupting(publisher: Publisher) -> Iterator[None]:
    """Throw KeyboardInterrupt into the wait of whoever puts something next."""
    condition = publisher._changed

    def throw(*args: object) -> None:
        raise KeyboardInterrupt

    condition.wait_for = throw  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del condition.wait_for


# What every script begins with; what the broker gets is printed, a line for each message.
SETUP = """
import os, sys, threading, time
from tests.sending.engine import *
from django_topsort.sending.publisher import Publisher
from tests.sending.test_publisher import Ledger

PARENT = os.getpid()
hanging = threading.Event()

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def publish(message):
    say(message, os.getpid() == PARENT)
    if message == "hang":
        hanging.wait(PATIENCE)

def give_back(events):
    say("back", *get_ids(events))

def fail(error, count):
    say("failed", type(error).__name__)

publisher = Publisher(
    publish, lambda events: None, give_back, fail, at_exit=lambda: publisher.close(0.05)
)
def put(name):
    return publisher.put(name, [build_event(event_id=name)], PATIENCE)
"""


def run(code: str) -> list[str]:
    result = run_script(SETUP + textwrap.dedent(code), measured=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return sorted(result.stdout.splitlines())


def test_forked_child_begins_with_nothing_and_has_a_thread_of_its_own() -> None:
    """It needs no hook of Python's: uWSGI's forks have none."""
    lines = run(
        """
        assert put("one")
        publisher.put("hang", [build_event(event_id="hang")], 0.3)
        if os.fork() == 0:
            assert not publisher.is_paused()
            assert publisher.flush(PATIENCE)
            threads = [threading.Thread(target=put, args=(f"child-{n}",)) for n in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sys.exit(0)
        assert os.wait()[1] == 0
        hanging.set()
        assert publisher.flush(PATIENCE)
        """
    )

    assert lines == [
        *["child-0 False", "child-1 False", "child-2 False"],
        *["hang True", "one True"],
    ]


def test_fork_while_another_thread_holds_the_lock_does_not_hang_the_child() -> None:
    lines = run(
        """
        publisher._lock.acquire()
        child = []
        def fork():
            child.append(os.fork())
            if child[0] == 0:
                os._exit(0 if put("child") else 1)
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        publisher._lock.release()
        assert os.waitpid(child[0], 0)[1] == 0
        assert put("parent")
        """
    )

    assert lines == ["child False", "parent True"]


def test_copy_of_the_thread_in_a_child_says_nothing(
    broker: Broker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is forked amid a publish, or under gevent, has a copy of the thread."""
    parent = os.getpid()
    ended = threading.Event()

    def fork() -> None:
        monkeypatch.setattr(os, "getpid", lambda: parent + 1)
        ended.set()

    broker.then, broker.error = fork, OSError("the child's copy")
    publisher = build(broker, ledger)
    assert publisher.put("forking", build_events(1), 0.2)
    assert ended.wait(PATIENCE)
    wait_until(lambda: not get_threads())
    monkeypatch.setattr(os, "getpid", lambda: parent)

    assert ledger.failures == []
    assert publisher.close(0.01)  # as the parent, whose own thread has nothing to say either
    assert ledger.given_back == ["impressions-0"]


def test_threads_of_a_forked_child_begin_anew_once(publisher: Publisher, broker: Broker) -> None:
    publisher._pid = -1
    fork_lock = publisher._forks.setdefault(os.getpid(), threading.RLock())
    answers: dict[str, Any] = {}
    with fork_lock:
        late = put_later(publisher, "late", answers)
        publisher._mind_fork()
        began = publisher._queue
    late.join(PATIENCE)

    assert answers == {"late": True}
    assert publisher._queue is began


def test_process_that_ends_gives_back_what_the_broker_does_not_take() -> None:
    lines = run('publisher.put("hang", [build_event(event_id="hang")], 0.3)')

    assert lines == ["back hang", "hang True"]
