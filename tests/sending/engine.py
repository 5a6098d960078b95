"""What drives the engine in tests: events, a clock by hand, and ears for what becomes of events."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django_topsort.events import Click, Event, Impression, Page, PageView, Purchase, PurchaseItem
from django_topsort.exceptions import ApiError
from django_topsort.sending.wiring import SenderOptions, Wiring
from django_topsort.wire import decode_request, encode_request

USER = "shopper-1"
# Long enough for a machine that has other things to do; a test that passes never waits for it.
PATIENCE = 30.0


def build_event(kind: str = "impressions", event_id: str = "i-1") -> Event:
    match kind:
        case "impressions":
            return Impression(id=event_id, opaque_user_id=USER, resolved_bid_id="bid")
        case "clicks":
            return Click(id=event_id, opaque_user_id=USER, resolved_bid_id="bid")
        case "purchases":
            item = PurchaseItem(product_id="shoe", unit_price=Decimal("9.95"))
            return Purchase(id=event_id, opaque_user_id=USER, items=(item,))
        case _:
            return PageView(id=event_id, opaque_user_id=USER, page=Page(type="home", page_id="/"))


def build_events(count: int, kind: str = "impressions", prefix: str = "") -> list[Event]:
    return [build_event(kind, f"{prefix or kind}-{number}") for number in range(count)]


def get_ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]


def wait_until(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Wait for what other threads do; AssertionError when they do not."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.002)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.calls = 0
        # What happens in the midst of whoever asks for the time: that is, of the engine's work.
        self.hook: Callable[[], object] = str

    def __call__(self) -> float:
        self.calls += 1
        self.hook()
        return self.now


class Ears:
    """A Report that remembers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.delivered_events: list[Event] = []
        self.rejected_events: list[tuple[Event, ApiError]] = []
        self.dropped_events: list[tuple[Event, str]] = []
        self.failures: list[tuple[ApiError, int]] = []
        self.threads: set[str] = set()
        self.when_delivered: Callable[[Sequence[Event]], object] = len
        self.when_failed: Callable[[ApiError], object] = str

    def delivered(self, events: Sequence[Event]) -> None:
        with self.lock:
            self.delivered_events += events
            self.threads.add(threading.current_thread().name)
        self.when_delivered(events)

    def rejected(self, events: Sequence[Event], error: ApiError) -> None:
        with self.lock:
            self.rejected_events += [(event, error) for event in events]

    def dropped(self, events: Sequence[Event], reason: str) -> None:
        with self.lock:
            self.dropped_events += [(event, reason) for event in events]

    def failed(self, error: ApiError, count: int) -> None:
        with self.lock:
            self.failures.append((error, count))
        self.when_failed(error)

    @property
    def dropped_ids(self) -> list[str]:
        return [event.id for event, _ in self.dropped_events]

    @property
    def reasons(self) -> Counter[str]:
        return Counter(reason for _, reason in self.dropped_events)

    @property
    def settled(self) -> int:
        return len(self.delivered_events) + len(self.rejected_events) + len(self.dropped_events)


class Heard(list[dict[str, Any]]):
    """A signal's receiver that remembers what it was told."""

    def __call__(self, **facts: Any) -> None:
        self.append(facts)


class Api:
    """Takes bodies in this process. ``meet`` is called with the ids of each, and may raise."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[list[str]] = []
        self.taken: list[str] = []
        self.limits: list[float | None] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.meet: Callable[[list[str]], object] = len

    def __call__(self, body: bytes, limit: float | None = None, /) -> None:
        ids = get_ids(list(decode_request(body)))
        with self.lock:
            self.requests.append(ids)
            self.limits.append(limit)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self.meet(ids)
            with self.lock:
                self.taken += ids
        finally:
            with self.lock:
                self.in_flight -= 1


def build_wiring(
    api: Api,
    ears: Ears,
    options: SenderOptions | None = None,
    clock: Callable[[], float] = time.monotonic,
    rand: Callable[[], float] = lambda: 0.1,
) -> Wiring:
    found = options or SenderOptions(flush_interval=0.01)
    return Wiring(
        post=api, encode=encode_request, report=ears, options=lambda: found, clock=clock, rand=rand
    )
