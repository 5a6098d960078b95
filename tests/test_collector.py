"""The collector takes every event once, in its order, whoever adds and closes at the same time."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from uuid import UUID

import pytest

from django_topsort.collector import MAX_HELD, Collector
from django_topsort.events import Event, Impression


def build_events(number: int) -> list[Event]:
    return [
        Impression(id=str(index), opaque_user_id="u", resolved_bid_id="b")
        for index in range(number)
    ]


class Delivery:
    """Takes what a collector hands over; ``batches`` are kept as they came."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []

    def __call__(self, events: list[Event]) -> None:
        self.batches.append(events)

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]


@pytest.fixture
def delivery() -> Delivery:
    return Delivery()


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Let threads take turns after every few steps."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_events_are_held_until_the_collector_is_closed(delivery: Delivery) -> None:
    collector = Collector(delivery)
    some = build_events(3)
    for event in some:
        collector.add(event)

    assert (delivery.batches, len(collector)) == ([], 3)
    collector.close()
    assert (delivery.batches, len(collector)) == ([some], 0)


def test_later_events_pass_straight_through(delivery: Delivery) -> None:
    collector = Collector(delivery)
    first, second, third = build_events(3)
    collector.add(first)
    collector.close()
    collector.add(second)
    collector.add(third)

    assert delivery.batches == [[first], [second], [third]]


def test_events_that_come_together_are_held_and_passed_on_together(delivery: Delivery) -> None:
    collector = Collector(delivery)
    some = build_events(3)
    collector.extend(some)
    assert (delivery.batches, len(collector)) == ([], 3)

    collector.close()
    collector.extend([])
    collector.extend(some[:2])
    assert delivery.batches == [some, some[:2]]


def test_more_events_than_a_request_may_hold_are_handed_over_at_once(delivery: Delivery) -> None:
    collector = Collector(delivery)
    many = build_events(MAX_HELD + 7)
    collector.extend(many)

    assert (delivery.batches, len(collector)) == ([many], 0)


def test_collector_made_closed_holds_nothing(delivery: Delivery) -> None:
    collector = Collector(delivery, closed=True)
    (event,) = build_events(1)
    collector.add(event)

    assert delivery.batches == [[event]]


def test_close_delivers_nothing_when_there_is_nothing(delivery: Delivery) -> None:
    collector = Collector(delivery)
    collector.close()
    collector.close()

    assert delivery.batches == []


def test_hand_over_leaves_the_collector_open(delivery: Delivery) -> None:
    collector = Collector(delivery)
    first, second = build_events(2)
    collector.add(first)
    collector.hand_over()
    collector.add(second)

    assert delivery.batches == [[first]]
    collector.close()
    assert delivery.batches == [[first], [second]]


def test_no_more_than_500_events_are_held(delivery: Delivery) -> None:
    collector = Collector(delivery)
    some = build_events(2 * MAX_HELD + 7)
    most = 0
    for event in some:
        collector.add(event)
        most = max(most, len(collector))
    collector.close()

    assert MAX_HELD == 500
    assert most == MAX_HELD - 1
    assert [len(batch) for batch in delivery.batches] == [500, 500, 7]
    assert delivery.events == some


def test_delivery_that_is_replaced_gets_what_was_held(delivery: Delivery) -> None:
    other = Delivery()
    collector = Collector(other)
    (event,) = build_events(1)
    collector.add(event)
    collector.deliver = delivery
    collector.close()

    assert (other.batches, delivery.batches) == ([], [[event]])


def test_events_of_a_collector_that_nobody_closes_are_delivered(delivery: Delivery) -> None:
    collector = Collector(delivery)
    (event,) = build_events(1)
    collector.add(event)
    del collector
    gc.collect()

    assert delivery.batches == [[event]]


def test_closed_collector_delivers_nothing_when_it_goes(delivery: Delivery) -> None:
    collector = Collector(delivery)
    collector.close()
    del collector
    gc.collect()

    assert delivery.batches == []


def test_delivery_that_adds_in_turn_gets_that_as_well() -> None:
    first, second = build_events(2)
    batches = []

    def deliver(events: list[Event]) -> None:
        batches.append(events)
        if events == [first]:
            collector.add(second)

    collector = Collector(deliver)
    collector.add(first)
    collector.close()

    assert batches == [[first], [second]]


@pytest.mark.usefixtures("_hasty_threads")
@pytest.mark.parametrize("attempt", range(5))
def test_no_event_is_lost_or_taken_twice_when_threads_add_while_it_is_closed(
    attempt: int, delivery: Delivery
) -> None:
    collector = Collector(delivery)
    parts = [build_events(4000) for _ in range(8)]
    start = threading.Barrier(len(parts) + 2)

    def add(part: list[Event]) -> None:
        start.wait()
        for event in part:
            collector.add(event)

    def close() -> None:
        start.wait()
        for _ in range(attempt):
            collector.hand_over()
        collector.close()

    with ThreadPoolExecutor(len(parts) + 2) as pool:
        done = [pool.submit(close), pool.submit(close), *(pool.submit(add, part) for part in parts)]
    for future in done:
        future.result()

    assert len(collector) == 0
    assert len(delivery.events) == 32_000
    assert {id(event) for event in delivery.events} == {
        id(event) for part in parts for event in part
    }


@pytest.mark.usefixtures("_hasty_threads")
def test_ids_are_unique_when_threads_share_a_collector(delivery: Delivery) -> None:
    collectors = [Collector(delivery) for _ in range(50)]
    start = threading.Barrier(8)

    def build(_: int) -> list[str]:
        start.wait()
        # The first id of each collector is where two threads may both begin a sequence.
        return [collector.build_id() for collector in collectors for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        some = [text for part in pool.map(build, range(8)) for text in part]

    assert len(set(some)) == len(some) == 8 * 50 * 10


def test_ids_of_one_collector_come_from_one_sequence(delivery: Delivery) -> None:
    collector = Collector(delivery)
    some = [collector.build_id() for _ in range(24)]

    assert {text[:32] for text in some} == {some[0][:32]}
    assert {UUID(text).version for text in some} == {7}


def test_add_may_interrupt_itself(delivery: Delivery) -> None:
    collector = Collector(delivery)
    own, interrupting = build_events(20_000), build_events(200)
    waiting = iter(interrupting)

    def add_one(number: int, frame: FrameType | None) -> None:
        collector.add(next(waiting))

    before = signal.signal(signal.SIGUSR1, add_one)
    try:
        for index, event in enumerate(own):
            if index % 100 == 0:
                os.kill(os.getpid(), signal.SIGUSR1)
            collector.add(event)
    finally:
        signal.signal(signal.SIGUSR1, before)
    collector.close()

    assert [*waiting] == []
    assert sorted(map(id, delivery.events)) == sorted(map(id, [*own, *interrupting]))


def test_what_is_found_out_is_kept_for_the_request(delivery: Delivery) -> None:
    first, second = Collector(delivery), Collector(delivery)
    first.found["path"] = "/"

    assert (second.found, second.placement) == ({}, None)
