"""The events that wait in memory: bounded, fair to purchases, shed in order.

Not safe between threads: the sender holds its lock.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from django_topsort.batches import MAX_PER_KIND
from django_topsort.events import EVENT_KINDS
from django_topsort.sending.handover import HandOver
from django_topsort.sending.lane import Lane
from django_topsort.sending.sizes import measure
from django_topsort.wire import EventsRequest, build_request

if TYPE_CHECKING:
    from django_topsort.events import Event

# Purchases have places of their own, beside those that all kinds share.
PURCHASE_PLACES = 2_000
PURCHASE_BYTES = 4 * 1024 * 1024
# What makes room first. Nothing makes a purchase go.
SHED_ORDER = ("pageviews", "impressions", "clicks")


class Job(Struct, eq=False):
    """Events that go out together: ``due`` is when to try, in seconds of the clock.

    ``started``: when they were last posted; ``first_failure``: when they first came back;
    ``refused_since``: when they first came back from a batch that was refused in full, or None.
    ``room``: how many places and bytes of the queue they take, by kind, until they are settled.
    """

    batch: EventsRequest
    room: dict[str, tuple[int, int]]
    attempts: int
    first_failure: float
    due: float
    is_probe: bool = False
    started: float = 0.0
    refused_since: float | None = None


class EventQueue:
    """Fresh events by kind, and failed ones by when to try them again."""

    def __init__(self) -> None:
        self._lanes = {kind: Lane() for kind in EVENT_KINDS}
        self._retries: list[tuple[float, int, Job]] = []
        self._order = count()
        # Of what is not in a lane: it is being posted, or has failed.
        self._counts = dict.fromkeys(EVENT_KINDS, 0)
        self._sizes = dict.fromkeys(EVENT_KINDS, 0)

    def __len__(self) -> int:
        """How many events wait, fresh and failed."""
        return sum(len(lane.events) for lane in self._lanes.values()) + sum(
            len(job.batch) for _, _, job in self._retries
        )

    @property
    def has_fresh(self) -> bool:
        """Whether there are events that were not tried yet."""
        return any(lane.events for lane in self._lanes.values())

    def put(
        self,
        events: Sequence[Event] | HandOver,
        now: float,
        places: int,
        size: int,
        *,
        again: bool = False,
    ) -> list[Event]:
        """Add events and return those that had to go, so that no more than fit are held.

        What is being posted counts too, until ``settle`` says that it is done. ``again``: a signal
        handler has raised in the midst of it, and some may be here already.
        """
        handed = events if isinstance(events, HandOver) else HandOver(events)
        for kind, (some, some_bytes) in handed.parts.items():
            lane = self._lanes[kind]
            if not (again and lane.events and lane.events[-1] is some[-1]):
                lane.put(some, now, some_bytes)
        shed: list[Event] = []
        while (excess := self._get_excess(places, size)) != (0, 0):
            some = self._shed_some(*excess)
            if not some:
                break  # all that is left is being posted
            shed += some
        return shed

    def put_back(
        self,
        events: Iterable[Event],
        *,
        attempts: int,
        first_failure: float,
        due: float,
        refused_since: float | None = None,
    ) -> None:
        """Keep failed events until they are due. Their job is to be settled first."""
        job = self._build_job(events, attempts, first_failure, due)
        job.refused_since = refused_since
        heapq.heappush(self._retries, (due, next(self._order), job))

    def settle(self, job: Job) -> None:
        """Free the places of a job's events."""
        for kind, (places, size) in job.room.items():
            self._counts[kind] -= places
            self._sizes[kind] -= size

    def hasten(self, now: float) -> None:
        """Make failed events due at once."""
        self._retries = [(min(due, now), order, job) for due, order, job in self._retries]
        heapq.heapify(self._retries)

    def get_delay(self, now: float, interval: float) -> float | None:
        """Return the seconds until there is something to post: 0 for now, None for nothing.

        Fresh events are due when they fill a request, or ``interval`` seconds after they came.
        """
        due = [self._retries[0][0]] if self._retries else []
        for lane in self._lanes.values():
            if len(lane.events) >= MAX_PER_KIND:
                return 0.0
            if lane.events:
                due.append(lane.get_first_time() + interval)
        return max(0.0, min(due) - now) if due else None

    def get_times(self) -> Iterator[float]:
        """Yield since when the oldest of each lane, and each failed job, is there."""
        for lane in self._lanes.values():
            if lane.events:
                yield lane.get_first_time()
        for _, _, job in self._retries:
            yield job.first_failure

    def take(self, now: float, most: int = MAX_PER_KIND) -> Job | None:
        """Remove and return the next events to post, at most ``most`` of a kind, or None.

        Failed events come first, when they are due. Fresh ones are taken in any case: the caller
        has asked ``get_delay``, or does not want to wait.
        """
        if self._retries and self._retries[0][0] <= now:
            job = heapq.heappop(self._retries)[2]
            return self._cut(job, most) if most < MAX_PER_KIND else job
        batch: dict[str, Any] = {}
        room: dict[str, tuple[int, int]] = {}
        for kind, lane in self._lanes.items():
            if lane.events:
                events, size = lane.take(most)
                batch[kind] = tuple(events)
                room[kind] = len(events), size
                self._counts[kind] += len(events)
                self._sizes[kind] += size
        return Job(EventsRequest(**batch), room, 0, now, now) if batch else None

    def take_all(self) -> list[Event]:
        """Remove and return everything, and free its places: what is left when time is up."""
        events: list[Event] = []
        while self._retries:
            job = self._retries.pop()[2]
            self.settle(job)
            events += job.batch
        while fresh := self.take(0.0):
            self.settle(fresh)
            events += fresh.batch
        return events

    def _build_job(
        self, events: Iterable[Event], attempts: int, first_failure: float, due: float
    ) -> Job:
        """Return a job with places for its events."""
        room: dict[str, tuple[int, int]] = {}
        batch = build_request(events)
        for kind in EVENT_KINDS:
            some = getattr(batch, kind)
            if some:
                room[kind] = len(some), measure(some)
                self._counts[kind] += room[kind][0]
                self._sizes[kind] += room[kind][1]
        return Job(batch, room, attempts, first_failure, due)

    def _cut(self, job: Job, most: int) -> Job:
        """Return a job of at most ``most`` of a kind; the rest of ``job`` stays here."""
        parts = [getattr(job.batch, kind) for kind in EVENT_KINDS]
        rest = [event for part in parts for event in part[most:]]
        if not rest:
            return job
        first = [event for part in parts for event in part[:most]]
        self.settle(job)
        attempts, since = job.attempts, job.first_failure
        refused = job.refused_since
        self.put_back(
            rest, attempts=attempts, first_failure=since, due=job.due, refused_since=refused
        )
        part = self._build_job(first, attempts, since, job.due)
        part.refused_since = refused
        return part

    def _get_excess(self, places: int, size: int) -> tuple[int, int]:
        """Return by how many places and bytes the shared ones are exceeded.

        Purchases count as far as they go beyond their own.
        """
        lanes = self._lanes.values()
        own = self._lanes["purchases"]
        held = sum(len(lane.events) for lane in lanes) + sum(self._counts.values())
        purchases = len(own.events) + self._counts["purchases"]
        held_bytes = sum(lane.size for lane in lanes) + sum(self._sizes.values())
        purchases_bytes = own.size + self._sizes["purchases"]
        return (
            max(0, held - min(purchases, PURCHASE_PLACES) - places),
            max(0, held_bytes - min(purchases_bytes, PURCHASE_BYTES) - size),
        )

    def _shed_some(self, places: int, size: int) -> list[Event]:
        """Remove and return what makes room, or a part of it: whoever waits for the lock, waits."""
        for kind in SHED_ORDER:
            if self._lanes[kind].events:
                return self._lanes[kind].take_oldest(places, size)
        # Only purchases are left: the places are full of them, and the newest finds none.
        purchases = self._lanes["purchases"]
        return purchases.take_newest() if purchases.events else []
