"""What one request has gathered: its events, and what was found out about it on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from django_topsort.ids import IdSequence

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.parts import Part

# A request that records more than this hands over early, so that no request holds without bound.
MAX_HELD = 500


class Observer(Protocol):
    """Is told, while a person looks at a request, what is asked of it. Raises nothing."""

    def note_call(
        self, kind: str, given: Mapping[str, object], placement: Mapping[str, object] | None
    ) -> None:
        """Note that an event of ``kind`` is to be made of ``given`` and the placement set."""

    def note_refusal(self, kind: str, error: Exception, *, is_counted: bool) -> None:
        """Note that it was not made, because of ``error``; ``is_counted``: as dropped."""

    def note_told(self, door: str, part: Part | None) -> None:
        """Note what the page tells its browser to report: ``"attrs"``, ``"link"``, ``"script"``."""


class Collector:
    """The events of one request, as ``request.topsort``.

    It holds events until ``close`` hands them over; from then on each event passes straight
    through: a streaming body is rendered, and a sync view goes on after its client has left under
    ASGI, when the middleware has long returned.

    No lock guards it. ``add`` appends before it looks whether the collector is closed, and
    ``close`` sets that before it takes what is there, so each event is taken once, by one of the
    two. That also holds when ``add`` interrupts itself, from a ``__del__`` or a signal handler.

    ``deliver`` takes what is handed over, and may be replaced until then. ``found`` caches what
    doors and makers look up once a request; ``placement`` is what the template has set for its
    impressions and clicks, and ``moulds`` the first of each shape that were made with it.
    ``observer`` is whoever wants to know where values come from; nobody, as a rule.
    """

    __slots__ = (
        "_events",
        "_ids",
        "deliver",
        "found",
        "is_closed",
        "moulds",
        "observer",
        "placement",
    )

    def __init__(self, deliver: Callable[[list[Event]], None], *, closed: bool = False) -> None:
        self.deliver = deliver
        self._events: deque[Event] = deque()
        self.is_closed = closed
        self._ids: IdSequence | None = None
        self.found: dict[str, Any] = {}
        self.placement: dict[str, Any] | None = None
        self.moulds: dict[tuple[object, ...], Any] = {}
        self.observer: Observer | None = None

    def __len__(self) -> int:
        return len(self._events)

    def __del__(self) -> None:
        # Nobody closes a request whose client left between the middleware and the server.
        if self._events:
            self.hand_over()

    def build_id(self) -> str:
        """Return an id for a new event of this request."""
        ids = self._ids
        if ids is None:
            ids = self._ids = IdSequence()
        return ids.build_next()

    def add(self, event: Event) -> None:
        """Hold ``event`` until the request is complete, or pass it on when it already is."""
        self._events.append(event)
        if self.is_closed or len(self._events) >= MAX_HELD:
            self.hand_over()

    def extend(self, events: Iterable[Event]) -> None:
        """Hold ``events``, as ``add`` does each; what is passed on is in one piece."""
        self._events.extend(events)
        if self.is_closed or len(self._events) >= MAX_HELD:
            self.hand_over()

    def close(self) -> None:
        """Hand over what is held, and pass every later event straight through."""
        self.is_closed = True
        self.hand_over()

    def hand_over(self) -> None:
        """Deliver what is held now."""
        taken: list[Event] = []
        events = self._events
        # Not while there are some: another thread may take the last one in between.
        with suppress(IndexError):
            while True:
                taken.append(events.popleft())
        if taken:
            self.deliver(taken)
