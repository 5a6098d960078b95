"""The queue: its bounds, who makes room for whom, and when something is due."""

from __future__ import annotations

import itertools
import statistics
import time
from decimal import Decimal
from random import Random

import pytest
from msgspec.structs import force_setattr

from django_topsort.events import (
    EVENT_KINDS,
    Entity,
    Event,
    Impression,
    InteractionObject,
    Page,
    PageView,
    Placement,
    Purchase,
    PurchaseItem,
)
from django_topsort.sending.handover import HandOver
from django_topsort.sending.lane import Lane
from django_topsort.sending.queue import PURCHASE_BYTES, PURCHASE_PLACES, EventQueue
from django_topsort.sending.sizes import UNWRITABLE_BYTES, measure
from django_topsort.wire import encode_event
from tests.sending.engine import USER, build_event, build_events, get_ids

MANY = 1_000_000


def put(queue: EventQueue, events: list[Event], places: int = MANY, size: int = MANY) -> list[str]:
    return get_ids(queue.put(events, 0.0, places, size))


def take(queue: EventQueue, most: int = 50, now: float = 0.0) -> list[str]:
    job = queue.take(now, most)
    assert job is not None
    queue.settle(job)
    return get_ids(list(job.batch))


def fill(queue: EventQueue) -> int:
    """Return how many events an empty queue has places for: 20, when none was left behind."""
    shed = put(queue, build_events(30, "pageviews", "probe"), places=20)
    queue.take_all()
    return 30 - len(shed)


# Taking


def test_queue_gives_back_what_it_got() -> None:
    queue = EventQueue()
    events = [event for kind in EVENT_KINDS for event in build_events(3, kind)]
    assert put(queue, events) == []
    assert [len(queue), queue.has_fresh] == [12, True]

    assert sorted(take(queue)) == sorted(get_ids(events))
    assert [len(queue), queue.has_fresh] == [0, False]
    assert queue.take(0.0) is None


def test_queue_gives_at_most_50_of_a_kind_the_oldest_first() -> None:
    queue = EventQueue()
    for start in range(0, 120, 24):
        put(queue, build_events(120)[start : start + 24])
    put(queue, build_events(3, "clicks"))

    assert take(queue) == [
        *get_ids(build_events(50)),
        *get_ids(build_events(3, "clicks")),
    ]
    assert take(queue) == get_ids(build_events(120)[50:100])
    assert take(queue) == get_ids(build_events(120)[100:])


def test_probe_is_small() -> None:
    queue = EventQueue()
    put(queue, [*build_events(50), *build_events(20, "purchases")])

    assert len(take(queue, most=10)) == 20
    assert len(queue) == 50


# When


def test_queue_without_events_is_never_due() -> None:
    assert EventQueue().get_delay(0.0, 0.5) is None


def test_lane_is_due_an_interval_after_its_first_event() -> None:
    queue = EventQueue()
    queue.put(build_events(2), 10.0, MANY, MANY)
    queue.put(build_events(2, "clicks"), 10.2, MANY, MANY)
    queue.put(build_events(2, prefix="later"), 10.3, MANY, MANY)

    assert queue.get_delay(10.3, 0.5) == pytest.approx(0.2)
    assert queue.get_delay(10.3, 0.0) == 0.0
    assert queue.get_delay(11.0, 0.5) == 0.0


def test_lane_is_due_at_once_when_it_fills_a_request() -> None:
    queue = EventQueue()
    put(queue, build_events(49))
    assert queue.get_delay(0.0, 0.5) == 0.5

    put(queue, build_events(1, prefix="last"))
    assert queue.get_delay(0.0, 0.5) == 0.0


def test_rest_of_a_lane_is_due_when_its_own_events_are() -> None:
    queue = EventQueue()
    queue.put(build_events(40), 10.0, MANY, MANY)
    queue.put(build_events(40, prefix="later"), 10.4, MANY, MANY)
    queue.take(10.4)

    assert queue.get_delay(10.4, 0.5) == pytest.approx(0.5)


# Again


def test_failed_events_wait_until_they_are_due() -> None:
    queue = EventQueue()
    queue.put_back(build_events(2, prefix="late"), attempts=2, first_failure=1.0, due=20.0)
    queue.put_back(build_events(2, prefix="soon"), attempts=1, first_failure=1.0, due=15.0)
    put(queue, build_events(1))
    assert len(queue) == 5
    assert queue.get_delay(14.0, 100.0) == 1.0

    job = queue.take(15.0)
    assert job is not None
    assert get_ids(list(job.batch)) == ["soon-0", "soon-1"]
    assert (job.attempts, job.first_failure) == (1, 1.0)
    assert take(queue, now=15.0) == ["impressions-0"]
    assert queue.take(15.0) is None
    assert take(queue, now=20.0) == ["late-0", "late-1"]


def test_failed_events_are_due_at_once_when_hastened() -> None:
    queue = EventQueue()
    for number in range(5):
        due = 100.0 - number
        queue.put_back([build_event(event_id=f"{number}")], attempts=1, first_failure=0.0, due=due)
    queue.hasten(50.0)

    assert queue.get_delay(50.0, 0.5) == 0.0
    assert sorted(take(queue, now=50.0)[0] for _ in range(5)) == ["0", "1", "2", "3", "4"]


def test_probe_takes_a_part_of_the_failed_events() -> None:
    queue = EventQueue()
    put(queue, [*build_events(50), *build_events(4, "clicks")])
    job = queue.take(0.0)
    assert job is not None
    queue.settle(job)
    queue.put_back(job.batch, attempts=3, first_failure=1.0, due=5.0)

    probe = queue.take(5.0, 10)
    assert probe is not None
    assert len(probe.batch) == 14
    assert (probe.attempts, probe.first_failure) == (3, 1.0)
    assert len(queue) == 40
    queue.settle(probe)
    small = queue.take(5.0, 40)
    assert small is not None
    assert len(small.batch) == 40
    queue.settle(small)
    assert fill(queue) == 20


# Bounds


def test_queue_sheds_page_views_then_impressions_then_clicks_the_oldest_first() -> None:
    queue = EventQueue()
    kinds = ("purchases", "clicks", "impressions", "pageviews")
    events = [event for kind in kinds for event in build_events(2, kind)]
    assert put(queue, events, places=6) == []

    shed = [put(queue, [build_event("clicks", f"new-{n}")], places=6)[0] for n in range(8)]
    assert shed == [
        "pageviews-0",
        "pageviews-1",
        "impressions-0",
        "impressions-1",
        "clicks-0",
        "clicks-1",
        "new-0",
        "new-1",
    ]
    assert len(queue) == 8


def test_purchases_have_places_of_their_own() -> None:
    queue = EventQueue()
    put(queue, build_events(10), places=10)
    assert put(queue, build_events(PURCHASE_PLACES, "purchases"), places=10) == []
    assert put(queue, build_events(1, prefix="more"), places=10) == ["impressions-0"]

    # Beyond their own places they take those that all share.
    more = build_events(3, "purchases", "more")
    assert put(queue, more, places=10) == ["impressions-1", "impressions-2", "impressions-3"]


def test_purchases_go_when_there_are_only_purchases_the_newest_first() -> None:
    queue = EventQueue()
    events = build_events(PURCHASE_PLACES + 5, "purchases")

    assert put(queue, events, places=3) == [
        f"purchases-{PURCHASE_PLACES + 4}",
        f"purchases-{PURCHASE_PLACES + 3}",
    ]
    put(queue, build_events(1, "purchases", "one"), places=4)
    assert put(queue, build_events(1, "purchases", "other"), places=4) == ["other-0"]


def test_events_that_are_being_posted_keep_their_places() -> None:
    queue = EventQueue()
    put(queue, build_events(10), places=10)
    job = queue.take(0.0)
    assert job is not None
    assert put(queue, build_events(1, prefix="new"), places=10) == ["new-0"]

    queue.settle(job)
    assert put(queue, build_events(10, prefix="newer"), places=10) == []


def test_queue_that_is_full_of_what_is_posted_sheds_no_more() -> None:
    queue = EventQueue()
    put(queue, build_events(10), places=10)
    queue.take(0.0)

    assert put(queue, [], places=5) == []


def test_queue_is_bounded_in_bytes() -> None:
    queue = EventQueue()
    room = measure(build_events(10))
    assert put(queue, build_events(10), size=room) == []
    assert put(queue, build_events(1, prefix="new"), size=room) == ["impressions-0"]


def test_as_many_go_as_are_too_many_however_they_came() -> None:
    queue = EventQueue()
    for number in range(7):
        put(queue, build_events(3, "clicks", f"{number}"), places=20)
    shed = put(queue, build_events(5, "purchases"), places=20)
    assert shed == []  # they have places of their own

    assert put(queue, build_events(9, "clicks", "last"), places=20) == [
        *get_ids(build_events(3, "clicks", "0"))[1:],
        *(f"{number}-{place}" for number in (1, 2) for place in range(3)),
        "3-0",
    ]
    assert len(queue) == 25


@pytest.mark.parametrize("room", [1, 5000, 20_000])
def test_no_more_bytes_go_than_are_too_many(room: int) -> None:
    queue = EventQueue()
    for number in range(30):
        put(queue, build_events(number, "impressions", f"{number}"), size=room)
    kept = queue.take(0.0, 1000)
    size = 0 if kept is None else measure(list(kept.batch))

    assert size <= room
    assert size + measure([build_event()]) > room or size == 0


def test_full_queue_makes_room_at_once() -> None:
    queue, seconds = EventQueue(), []
    put(queue, build_events(2000), places=2000)
    for number in range(30):
        handed = HandOver(build_events(500, "impressions", f"{number}"))
        began = time.thread_time()
        shed = queue.put(handed, 0.0, 2000, MANY)
        seconds.append(time.thread_time() - began)
        assert len(shed) == 500

    # Whoever has something to hand over waits for so long.
    assert statistics.median(seconds) < 0.001


def test_purchases_have_bytes_of_their_own() -> None:
    queue = EventQueue()
    item = PurchaseItem(product_id="shoe", unit_price=Decimal(1))
    big = Purchase(id="big", opaque_user_id=USER, items=(item,) * 5000)
    count = PURCHASE_BYTES // measure([big])

    assert put(queue, [big] * count, size=1000) == []
    assert put(queue, [big] * 2, size=1000) == ["big", "big"]


@pytest.mark.parametrize("seed", range(20))
def test_places_and_bytes_are_all_free_in_the_end(seed: int) -> None:
    random = Random(seed)
    queue = EventQueue()
    ids = itertools.count()
    known: set[str] = set()
    gone: list[str] = []
    jobs = []
    for now in range(200):
        kind = random.choice(EVENT_KINDS)
        events = build_events(random.randint(1, 70), kind, f"{next(ids)}")
        known |= set(get_ids(events))
        gone += get_ids(queue.put(events, now, random.randint(100, 400), MANY))
        job = queue.take(now, random.choice([10, 50]))
        if job is not None:
            jobs.append(job)
        while len(jobs) > 2:
            job = jobs.pop(random.randrange(len(jobs)))
            queue.settle(job)
            if random.random() < 0.5:
                queue.put_back(job.batch, attempts=1, first_failure=now, due=now + 5)
            else:
                gone += get_ids(list(job.batch))
    for job in jobs:
        queue.settle(job)
        gone += get_ids(list(job.batch))
    gone += get_ids(queue.take_all())

    assert len(gone) == len(known)
    assert set(gone) == known
    assert len(queue) == 0
    assert fill(queue) == 20
    assert put(queue, build_events(3), size=measure(build_events(3))) == []


def test_take_all_frees_everything() -> None:
    queue = EventQueue()
    put(queue, build_events(120))
    queue.put_back(build_events(2, "clicks"), attempts=1, first_failure=0.0, due=99.0)

    assert len(queue.take_all()) == 122
    assert len(queue) == 0
    assert fill(queue) == 20


@pytest.mark.parametrize("most", [2, 50])
def test_lane_whose_put_was_interrupted_gives_its_events_back(most: int) -> None:
    lane = Lane()
    lane.put(build_events(3), 1.0, 300)
    lane.arrivals.clear()  # as if a signal handler had raised between two steps

    assert get_ids(lane.take_newest()) == ["impressions-2"]
    lane.put(build_events(3, prefix="more"), 1.0, 300)
    lane.arrivals.clear()
    taken: list[str] = []
    while lane.events:
        taken += get_ids(lane.take(most)[0])
    assert taken == ["impressions-0", "impressions-1", "more-0", "more-1", "more-2"]
    assert (lane.size, len(lane.arrivals)) == (0, 0)


# Sizes


@pytest.mark.parametrize(
    "event",
    [
        *(build_event(kind) for kind in EVENT_KINDS),
        Impression(
            id="1" * 36,
            opaque_user_id="u" * 36,
            resolved_bid_id="b" * 500,
            placement=Placement(path="/p" * 300, position=1, page=1, search_query="q" * 900),
            page=Page(type="search", page_id="/p" * 300, value="q" * 900),
        ),
        Impression(
            opaque_user_id=USER,
            entity=Entity(type="product", id="shoe" * 20),
            placement=Placement(path="/shoes"),
        ),
        Impression(opaque_user_id=USER, entity=Entity(type="product", id="shoe" * 20)),
        PageView(
            opaque_user_id=USER,
            page=Page(type="category", page_id="/c" * 800, value="v" * 900),
        ),
        PageView(
            opaque_user_id=USER,
            page=Page(type="cart", page_id="/cart", value=["p" * 20] * 90),
        ),
        Impression(
            opaque_user_id=USER,
            resolved_bid_id="b" * 239,
            placement=Placement(path="/", category_ids=["größe" * 20] * 90, product_id="p" * 900),
            additional_attribution=Entity(type="product", id="e" * 900),
            external_campaign_id="c" * 900,
            external_vendor_id="v" * 900,
            object=InteractionObject(type="banner", asset_id="a" * 900),
        ),
        Purchase(
            opaque_user_id=USER,
            items=[PurchaseItem(product_id="p" * 20, unit_price=Decimal(1), vendor_id="v" * 90)]
            * 1000,
        ),
    ],
    ids=lambda event: event.kind,
)
def test_size_is_that_of_the_json_with_its_comma(event: Event) -> None:
    size = len(encode_event(event)) + 1

    assert measure([event]) == size
    assert measure([event] * 3) == 3 * size


def test_what_cannot_be_written_takes_room_all_the_same() -> None:
    spoilt = build_event()
    force_setattr(spoilt, "id", object())

    assert measure([spoilt, build_event()]) == UNWRITABLE_BYTES + measure([build_event()])
