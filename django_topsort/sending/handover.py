"""What callers hand over, until somebody has the lock to queue it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from django_topsort.sending.sizes import measure

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.backlog import Backlog
    from django_topsort.sending.wiring import SenderOptions


class HandOver:
    """The events of one hand-over, sorted and measured while nobody waits for it.

    ``parts``: by kind, the events and about how many bytes they make. A cart or an order may have
    thousands of texts to measure.
    """

    __slots__ = ("events", "parts")

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = tuple(events)
        by_kind: dict[str, Sequence[Event]] = {}
        classes: dict[type[Event], None] = dict.fromkeys(map(type, self.events))
        for event_class in classes:
            by_kind[event_class.kind] = [one for one in self.events if type(one) is event_class]
        self.parts = {kind: (some, measure(some)) for kind, some in by_kind.items()}

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)


class Aside(deque[HandOver]):
    """Takes hand-overs without a lock, which the very thread that hands over may hold."""

    _moving: HandOver | None = None

    def move_to(self, backlog: Backlog, options: SenderOptions) -> None:
        """Queue everything. Whoever calls holds the lock of ``backlog``."""
        while self:
            # A signal handler may raise in between: removed only then, and not put in twice.
            is_again = self._moving is self[0]
            self._moving = self[0]
            backlog.put(self._moving, options, again=is_again)
            self.popleft()
            self._moving = None
