"""What one request has gathered: its events, and what was found out about it on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django_topsort.ids import IdSequence

if TYPE_CHECKING:
    from django_topsort.events import Event

# A request that records more than this hands over early, so that no request holds without bound.
MAX_HELD = 500


class Collector:
    """The events of one request, as ``request.topsort``.

    It holds events until ``close`` hands them over; from then on each event passes straight
    through: a streaming body is rendered, and a sync view goes on after its client has left under
    ASGI, when the middleware has long returned.

    No lock guards it. ``add`` appends before it looks whether the collector is closed, and ``close``
    sets that before it takes what is there, so each event is taken once, by one of the two. That
    also holds when ``add`` interrupts itself, from a ``__del__`` or a signal handler.

    ``found`` caches what doors and makers look up once a request; ``placement`` is what the template
    has set for its impressions and clicks.
    """

    __slots__ = ("_closed", "_deliver", "_events", "_ids", "found", "placement")

    def __init__(self, deliver: Callable[[list[Event]], None], *, closed: bool = False) -> None:
        self._deliver = deliver
        self._events: deque[Event] = deque()
        self._closed = closed
        self._ids: IdSequence | None = None
        self.found: dict[str, Any] = {}
        self.placement: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self._events)

    def build_id(self) -> str:
        """Return an id for a new event of this request."""
        ids = self._ids
        if ids is None:
            ids = self._ids = IdSequence()
        return ids.build_next()

    def add(self, event: Event) -> None:
        """Hold ``event`` until the request is complete, or pass it on when it already is."""
        self._events.append(event)
        if self._closed or len(self._events) >= MAX_HELD:
            self.hand_over()

    def close(self) -> None:
        """Hand over what is held, and pass every later event straight through."""
        self._closed = True
        self.hand_over()

    def hand_over(self) -> None:
        """Deliver what is held now."""
        taken: list[Event] = []
        events = self._events
        while events:
            try:
                taken.append(events.popleft())
            except IndexError:  # another thread took the last one
                break
        if taken:
            self._deliver(taken)
