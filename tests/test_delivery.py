"""Which backend takes which event, and what happens when one cannot."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.backends import console, dummy, locmem, thread
from django_topsort.backends.base import BaseEventBackend
from django_topsort.delivery import deliver, deliver_safely, flush, flushing
from django_topsort.events import EVENT_KINDS, Event
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.offloop import MAX_WAITING, off_loop
from django_topsort.routing import get_backend, get_backend_path, is_blocking
from django_topsort.signals import events_delivered, events_dropped
from django_topsort.tracking import record
from tests.logs import handle_log
from tests.sending.engine import (
    PATIENCE,
    Heard,
    build_event,
    build_events,
    get_ids,
    wait_until,
)

LOCMEM = "django_topsort.backends.locmem.EventBackend"
DUMMY = "django_topsort.backends.dummy.EventBackend"
HERE = f"{__name__}."

request_id = ContextVar("request_id", default="none")


class Remembering(BaseEventBackend):
    """Remembers what it took, in which thread and context."""

    taken: list[str] = []
    threads: list[str] = []
    contexts: list[str] = []

    def send_events(self, events: Sequence[Event]) -> None:
        self.taken.extend(get_ids(events))
        self.threads.append(threading.current_thread().name)
        self.contexts.append(request_id.get())
        self.report.delivered(events)


class Blocking(Remembering):
    """Waits for something, as one that posts does."""

    blocking = True

    def before(self) -> None:
        """Wait for it."""

    def send_events(self, events: Sequence[Event]) -> None:
        self.before()
        super().send_events(events)


class Failing(BaseEventBackend):
    """Raises, whatever it is asked."""

    def send_events(self, events: Sequence[Event]) -> None:
        raise OSError("the disk is full of shopper-1")

    def flush(self, timeout: float) -> bool:
        raise OSError("no flush either")


class Slow(BaseEventBackend):
    """Takes all the time that it is given."""

    timeouts: list[float] = []

    def flush(self, timeout: float) -> bool:
        self.timeouts.append(timeout)
        time.sleep(timeout)
        return False


class Holding(BaseEventBackend):
    """Keeps what it is given until it is flushed with some time to do it in."""

    held: list[str] = []
    sent: list[str] = []

    def send_events(self, events: Sequence[Event]) -> None:
        self.held.extend(get_ids(events))

    def flush(self, timeout: float) -> bool:
        if timeout:
            self.sent.extend(self.held)
            self.held.clear()
        return not self.held


class Impostor:
    """Is no backend."""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test backends of its own."""
    monkeypatch.setattr(routing, "_backends", {})
    yield
    Holding.held.clear()
    Holding.sent.clear()
    for found in (Remembering.taken, Remembering.threads, Remembering.contexts):
        found.clear()
    Slow.timeouts.clear()


def use(settings: Any, **backends: str) -> None:
    settings.TOPSORT_BACKENDS = {
        key: f"{HERE}{name}" if "." not in name else name for key, name in backends.items()
    }


# Which one


def test_default_takes_every_kind(settings: Any) -> None:
    use(settings, default=LOCMEM)
    events = [build_event(kind, kind) for kind in EVENT_KINDS]
    deliver(events)

    assert get_ids(locmem.outbox) == list(EVENT_KINDS)


def test_kind_has_its_own_backend(settings: Any) -> None:
    use(settings, default=LOCMEM, purchases="Remembering", clicks="Remembering", pageviews=DUMMY)
    deliver([build_event(kind, kind) for kind in EVENT_KINDS])

    assert get_ids(locmem.outbox) == ["impressions"]
    assert Remembering.taken == ["clicks", "purchases"]
    assert len(Remembering.threads) == 1


def test_backend_is_made_once(settings: Any) -> None:
    use(settings, default=LOCMEM, clicks=LOCMEM, purchases=DUMMY)

    assert get_backend() is get_backend("clicks") is get_backend("impressions")
    assert isinstance(get_backend("purchases"), dummy.EventBackend)


def test_backend_of_many_threads_is_one(settings: Any) -> None:
    use(settings, default="Remembering")
    barrier = threading.Barrier(8)

    def get(number: int) -> BaseEventBackend:
        barrier.wait()
        return get_backend()

    with ThreadPoolExecutor(8) as pool:
        assert len({id(backend) for backend in pool.map(get, range(8))}) == 1


def test_backend_follows_the_settings(settings: Any) -> None:
    del settings.TOPSORT_BACKENDS
    assert get_backend_path("clicks") == "django_topsort.backends.thread.EventBackend"
    assert isinstance(get_backend(), thread.EventBackend)

    use(settings, default=LOCMEM)
    assert isinstance(get_backend(), locmem.EventBackend)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.EventBackend", r"'nowhere.EventBackend' cannot be imported \(No module"),
        ("django_topsort.backends.locmem.Nothing", "cannot be imported"),
        ("EventBackend", "cannot be imported"),
        (5, "5 cannot be imported"),
        (f"{HERE}Impostor", "is no event backend"),
        ("django_topsort.backends.locmem.outbox", "is no event backend"),
    ],
)
def test_path_that_leads_to_no_backend_is_refused(settings: Any, path: Any, message: str) -> None:
    settings.TOPSORT_BACKENDS = {"default": path}
    with pytest.raises(TopsortConfigurationError, match=f"TOPSORT_BACKENDS: .*{message}"):
        get_backend()


def test_path_whose_module_fails_is_refused(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topsort_backend_that_fails.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.TOPSORT_BACKENDS = {"default": "topsort_backend_that_fails.EventBackend"}

    with pytest.raises(TopsortConfigurationError) as caught:
        get_backend()

    said = "'topsort_backend_that_fails.EventBackend' cannot be imported (division by zero)"
    assert said in str(caught.value)


@pytest.mark.parametrize("backends", [{}, {"default": ""}, {"default": None}])
def test_missing_default_is_refused(settings: Any, backends: dict[str, Any]) -> None:
    settings.TOPSORT_BACKENDS = backends
    with pytest.raises(TopsortConfigurationError, match="no backend for 'clicks' and no default"):
        get_backend("clicks")


def test_is_blocking_looks_at_all_backends(settings: Any) -> None:
    use(settings, default=LOCMEM)
    assert is_blocking() is False

    use(settings, default=LOCMEM, overflow="Blocking")
    assert is_blocking() is False  # which is not given a request's events

    use(settings, default=LOCMEM, clicks="Blocking", unknown="Blocking")
    assert is_blocking() is True
    assert console.EventBackend.blocking


# What goes wrong


def get_figures(kind: str = "impressions") -> tuple[int, int]:
    counts = accounts.get_counts()[kind]
    return counts["recorded"], counts["waiting"]


def test_deliver_raises_what_a_backend_raises(settings: Any) -> None:
    use(settings, default="Failing")
    with pytest.raises(OSError, match="full"):
        deliver([build_event()])


def test_deliver_safely_counts_what_a_backend_raises_at(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use(settings, default="Failing", clicks=LOCMEM)
    recorded, waiting = get_figures()
    heard = Heard()
    events_dropped.connect(heard)
    try:
        deliver_safely([*build_events(2), build_event("clicks", "click")])
    finally:
        events_dropped.disconnect(heard)

    assert get_ids(locmem.outbox) == ["click"]
    assert get_figures() == (recorded + 2, waiting)
    assert [facts["reason"] for facts in heard] == ["backend_error"]
    assert f"backend failed backend={__name__} events=2" in caplog.text


def test_deliver_safely_counts_what_has_no_backend(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_BACKENDS = {"default": "nowhere.EventBackend"}
    recorded, waiting = get_figures()
    before = accounts.get_counts()["impressions"]["reasons"].get("no_backend", 0)
    deliver_safely(build_events(2))

    assert get_figures() == (recorded + 2, waiting)
    assert accounts.get_counts()["impressions"]["reasons"]["no_backend"] == before + 2
    assert "no backend events=2" in caplog.text


def test_failures_are_logged_once_a_minute(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    use(settings, default="Failing")
    get_backend()
    for _ in range(50):
        deliver_safely([build_event()])
        flush(0.0)
    settings.TOPSORT_BACKENDS = {"default": "nowhere.EventBackend"}
    for _ in range(50):
        deliver_safely([build_event()])

    tracebacks = [line.getMessage() for line in caplog.records if line.exc_info]
    assert [said.split(" ")[:2] for said in tracebacks] == [
        ["backend", "failed"],
        ["flush", "failed"],
        ["no", "backend"],
    ]
    assert len(caplog.records) == 5  # and one for each reason of a drop


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
@pytest.mark.parametrize("backend", ["Failing", "Remembering", "Blocking", "nowhere.EventBackend"])
@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_log_handler_that_records_ends(settings: Any, kind: str, backend: str, level: int) -> None:
    numbers = itertools.count()
    lines: list[str] = []

    def record_line(line: logging.LogRecord) -> None:
        lines.append(line.getMessage())
        record(build_event(kind, f"line-{next(numbers)}"))

    recorded, waiting = get_figures(kind)
    use(settings, default=backend)
    with handle_log(record_line, level):
        deliver_safely([build_event(kind)])

    assert get_figures(kind) == (recorded + len(lines) + 1, waiting)
    assert len(lines) < 50


def test_event_that_is_recorded_by_a_receiver_is_delivered(settings: Any) -> None:
    use(settings, default="Remembering")

    def record_more(events: list[Event], **facts: object) -> None:
        record(build_event("clicks", "more"))

    events_delivered.connect(record_more)
    try:
        deliver_safely([build_event()])
    finally:
        events_delivered.disconnect(record_more)

    assert Remembering.taken == ["i-1", "more"]


def test_log_handler_that_raises_costs_no_figure(settings: Any) -> None:
    def fail(line: logging.LogRecord) -> None:
        raise ZeroDivisionError

    use(settings, default="Failing")
    before = accounts.get_counts()
    with handle_log(fail, logging.DEBUG):
        deliver_safely([build_event(kind) for kind in EVENT_KINDS])
        assert not flush(0.0)

    after = accounts.get_counts()
    for kind in EVENT_KINDS:
        assert after[kind]["dropped"] - before[kind]["dropped"] == 1
        assert after[kind]["waiting"] == before[kind]["waiting"]


def test_what_is_no_event_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    events: Any = [None]

    deliver_safely(events)

    assert "not delivered events=1" in caplog.text


# On an event loop


async def test_backend_that_blocks_works_beside_the_loop(settings: Any) -> None:
    use(settings, default="Blocking", clicks="Remembering")
    request_id.set("request-7")
    deliver_safely([build_event("clicks", "click"), build_event("purchases", "order")])
    off_loop.wait(PATIENCE)

    assert Remembering.taken[0] == "click"
    here = threading.current_thread().name
    assert Remembering.threads[0] == here
    assert Remembering.threads[1] != here
    assert Remembering.contexts == ["request-7", "request-7"]


def test_backend_that_blocks_works_in_place_without_a_loop(settings: Any) -> None:
    use(settings, default="Blocking")
    deliver_safely([build_event()])

    assert Remembering.threads == [threading.current_thread().name]


async def test_backend_that_cannot_keep_up_with_a_loop_leaves_the_rest_to_memory(
    settings: Any, monkeypatch: pytest.MonkeyPatch, drops: list[tuple[str, str, int]]
) -> None:
    may_go_on = threading.Event()
    monkeypatch.setattr(Blocking, "before", lambda self: may_go_on.wait(PATIENCE))
    use(settings, default="Blocking")
    for number in range(MAX_WAITING + 3):
        deliver_safely([build_event(event_id=str(number))])
    assert drops == [("impressions", "overflow", 1)] * 3  # the memory is the backend that blocks

    use(settings, default=LOCMEM, clicks="Blocking")
    deliver_safely([build_event("clicks", "click")])
    assert get_ids(locmem.outbox) == ["click"]

    settings.TOPSORT_BACKENDS = {"clicks": f"{HERE}Blocking"}
    deliver_safely([build_event("clicks", "click")])
    assert drops[3:] == [("clicks", "overflow", 1)]
    may_go_on.set()
    off_loop.wait(PATIENCE)
    assert len(Remembering.taken) == MAX_WAITING


# Flush


def test_flush_without_backends_is_true() -> None:
    assert flush(0.0)


def test_flush_asks_every_backend_within_one_time(settings: Any) -> None:
    use(settings, default="Slow", clicks=LOCMEM, purchases="Failing", pageviews="Remembering")
    for kind in EVENT_KINDS:
        get_backend(kind)
    started = time.monotonic()

    assert not flush(0.2)
    assert time.monotonic() - started < 5.0
    assert Slow.timeouts == [pytest.approx(0.2, abs=0.1)]


def test_flush_tells_when_a_backend_fails(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    use(settings, default="Failing")
    get_backend()

    assert not flush(0.1)
    assert f"flush failed backend={__name__}" in caplog.text


def test_flush_is_true_when_nothing_is_left(settings: Any) -> None:
    use(settings, default=LOCMEM, clicks="Remembering")
    deliver([build_event(), build_event("clicks")])
    wait_until(lambda: flush(1.0))

    assert Remembering.taken == ["i-1"]


def test_flushing_sends_at_the_end_of_a_block_also_of_one_that_raises(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": f"{HERE}Holding"}
    with flushing():
        record(build_event(event_id="one"))
        assert Holding.sent == []
    assert Holding.sent == ["one"]

    with suppress(ZeroDivisionError), flushing():
        record(build_event(event_id="two"))
        raise ZeroDivisionError
    assert Holding.sent == ["one", "two"]


@pytest.mark.parametrize(
    ("timeout", "said"), [(0.0, "not all sent timeout=0.0"), ("soon", "not flushed")]
)
def test_flushing_raises_nothing_of_its_own(
    settings: Any, caplog: pytest.LogCaptureFixture, timeout: Any, said: str
) -> None:
    settings.TOPSORT_BACKENDS = {"default": f"{HERE}Holding"}
    with flushing(timeout):
        record(build_event())

    assert said in caplog.text
