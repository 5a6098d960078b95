"""The events that wait in memory: bounded, fair to purchases, shed in order.

Not safe between threads: the sender holds its lock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from django_topsort.batches import MAX_PER_KIND
from django_topsort.events import EVENT_KINDS, Purchase

if TYPE_CHECKING:
    from django_topsort.events import Event

# Purchases have places of their own, beside those that all kinds share.
PURCHASE_PLACES = 2_000
PURCHASE_BYTES = 4 * 1024 * 1024
# What makes room first. Nothing makes a purchase go.
SHED_ORDER = ("pageviews", "impressions", "clicks")

BASE_BYTES = 330  # an event's JSON without the texts of varying length
ITEM_BYTES = 90


@dataclass
class Retry:
    """Events that failed together: ``due`` is when to try again, in seconds of the clock."""

    events: list[Event]
    attempts: int
    first_failure: float
    due: float


@dataclass
class Lane:
    """The fresh events of one kind, with when they came: pairs of a time and how many."""

    events: deque[Event] = field(default_factory=deque)
    arrivals: deque[list[Any]] = field(default_factory=deque)

    def put(self, events: Sequence[Event], now: float) -> None:
        self.events.extend(events)
        self.arrivals.append([now, len(events)])

    def take(self, most: int) -> list[Event]:
        """Remove and return the oldest events, at most ``most``."""
        events = self.events
        taken = [events.popleft() for _ in range(min(most, len(events)))]
        left = len(taken)
        while left:
            arrival = self.arrivals[0]
            if arrival[1] > left:
                arrival[1] -= left
                break
            left -= arrival[1]
            self.arrivals.popleft()
        return taken

    def take_newest(self) -> Event:
        """Remove and return the event that came last."""
        arrival = self.arrivals[-1]
        arrival[1] -= 1
        if not arrival[1]:
            self.arrivals.pop()
        return self.events.pop()


def estimate_size(event: Event) -> int:
    """Return about how many bytes ``event`` makes as JSON, without making them."""
    if isinstance(event, Purchase):
        return BASE_BYTES + ITEM_BYTES * len(event.items)
    size = BASE_BYTES
    bid = getattr(event, "resolved_bid_id", None)
    if bid is not None:
        size += len(bid)
    placement = getattr(event, "placement", None)
    if placement is not None:
        size += len(placement.path) + len(placement.search_query or "")
    return size


class EventQueue:
    """Fresh events by kind, and failed ones by when to try them again."""

    def __init__(self) -> None:
        self._lanes = {kind: Lane() for kind in ("purchases", "clicks", "impressions", "pageviews")}
        self._retries: list[tuple[float, int, Retry]] = []
        self._order = count()
        self._sizes = dict.fromkeys(EVENT_KINDS, 0)
        self._counts = dict.fromkeys(EVENT_KINDS, 0)

    def __len__(self) -> int:
        """How many events wait, fresh and failed."""
        return sum(len(lane.events) for lane in self._lanes.values()) + sum(
            len(retry.events) for _, _, retry in self._retries
        )

    def put(self, events: Sequence[Event], now: float, places: int, size: int) -> list[Event]:
        """Add events and return those that had to go, so that no more than fit are held.

        What is being posted counts too, until ``settle`` says that it is done.
        """
        by_kind: dict[str, list[Event]] = {}
        for event in events:
            by_kind.setdefault(event.kind, []).append(event)
        for kind, some in by_kind.items():
            self._lanes[kind].put(some, now)
            self._counts[kind] += len(some)
            self._sizes[kind] += sum(map(estimate_size, some))
        shed: list[Event] = []
        while self._is_over(places, size):
            one = self._shed_one()
            if one is None:
                break  # all that is left is being posted
            shed.append(one)
        return shed

    def put_back(self, retry: Retry) -> None:
        """Keep failed events until they are due; they have their places already."""
        heapq.heappush(self._retries, (retry.due, next(self._order), retry))

    def settle(self, events: Sequence[Event]) -> None:
        """Free the places of events that are delivered, rejected or dropped."""
        for event in events:
            self._counts[event.kind] -= 1
            self._sizes[event.kind] -= estimate_size(event)

    def get_delay(self, now: float, interval: float) -> float | None:
        """Return the seconds until there is something to post: 0 for now, None for nothing.

        Fresh events are due when they fill a request, or ``interval`` seconds after they came.
        """
        due = [self._retries[0][0]] if self._retries else []
        for lane in self._lanes.values():
            if len(lane.events) >= MAX_PER_KIND:
                return 0.0
            if lane.events:
                due.append(lane.arrivals[0][0] + interval)
        return max(0.0, min(due) - now) if due else None

    def take(self, now: float, most: int = MAX_PER_KIND) -> Retry | None:
        """Remove and return the next events to post, or None.

        Failed events come first, when they are due. Fresh ones are taken in any case: the caller
        has asked ``get_delay``, or does not want to wait.
        """
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        events: list[Event] = []
        for lane in self._lanes.values():
            if lane.events:
                events.extend(lane.take(most))
        return Retry(events, attempts=0, first_failure=now, due=now) if events else None

    def take_all(self) -> list[Event]:
        """Remove and return everything: what is left when time is up."""
        events = [event for _, _, retry in self._retries for event in retry.events]
        self._retries.clear()
        for lane in self._lanes.values():
            events.extend(lane.take(len(lane.events)))
        return events

    def _is_over(self, places: int, size: int) -> bool:
        """Whether the shared places, and the purchases beyond their own, exceed the bounds."""
        others = sum(self._counts.values()) - self._counts["purchases"]
        beyond = max(0, self._counts["purchases"] - PURCHASE_PLACES)
        bytes_others = sum(self._sizes.values()) - self._sizes["purchases"]
        bytes_beyond = max(0, self._sizes["purchases"] - PURCHASE_BYTES)
        return others + beyond > places or bytes_others + bytes_beyond > size

    def _shed_one(self) -> Event | None:
        for kind in SHED_ORDER:
            if self._lanes[kind].events:
                (event,) = self._lanes[kind].take(1)
                break
        else:
            # Only purchases are left: the places are full of them, and the newest finds none.
            purchases = self._lanes["purchases"]
            if not purchases.events:
                return None
            event = purchases.take_newest()
        self.settle([event])
        return event
