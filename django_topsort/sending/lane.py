"""The fresh events of one kind, in the order in which they came.

Not safe between threads: the sender holds its lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_topsort.events import Event


class Lane:
    """The fresh events of one kind, with what came when: lists of a time, how many, and bytes.

    A signal handler may raise in the midst of ``put``. What counts are the ``events``, which take
    one step; the rest may then be wrong, but not for longer than until the lane is empty.
    """

    __slots__ = ("arrivals", "events", "size")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.arrivals: deque[list[Any]] = deque()
        self.size = 0

    def put(self, events: Sequence[Event], now: float, size: int) -> None:
        """Add the events of one hand-over, which take ``size`` bytes in all."""
        self.arrivals.append([now, len(events), size])
        self.size += size
        self.events.extend(events)

    def get_first_time(self) -> float:
        """Return when the oldest event came."""
        time: float = self.arrivals[0][0] if self.arrivals else 0.0
        return time

    def take(self, most: int) -> tuple[list[Event], int]:
        """Remove the oldest events, at most ``most``; return them and their bytes."""
        events = self.events
        if len(events) <= most:
            taken, size = list(events), self.size
            events.clear()
            self.arrivals.clear()
            self.size = 0
            return taken, size
        taken = [events.popleft() for _ in range(most)]
        size, left = 0, most
        while left and self.arrivals:
            arrival = self.arrivals[0]
            part = min(left, arrival[1])
            size += self._shrink(arrival, part)
            left -= part
            if not arrival[1]:
                self.arrivals.popleft()
        return taken, size

    def take_oldest(self, most: int, size: int) -> list[Event]:
        """Remove the oldest events, ``most`` or of ``size`` bytes, whichever is more.

        At least one, and no more than what came with it.
        """
        _, number, its_bytes = self.arrivals[0] if self.arrivals else (0.0, 1, 1)
        by_size = -(-size * number // max(1, its_bytes))
        return self.take(min(number, max(1, most, by_size)))[0]

    def take_newest(self) -> list[Event]:
        """Remove and return the event that came last."""
        if self.arrivals:
            arrival = self.arrivals[-1]
            self._shrink(arrival, 1)
            if not arrival[1]:
                self.arrivals.pop()
        return [self.events.pop()]

    def _shrink(self, arrival: list[Any], part: int) -> int:
        """Take ``part`` events off an arrival; return their bytes, which are taken to be even."""
        size = int(arrival[2] * part // arrival[1])
        arrival[1] -= part
        arrival[2] -= size
        self.size -= size
        return size
