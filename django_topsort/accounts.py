"""What became of every event of this process, in figures that add up.

Per kind, recorded + taken = delivered + rejected + dropped + stored + waiting, at every moment.
``taken`` and ``stored`` are of a shop with an outbox: what this process has taken from there to
send it, and what it has put there, where all processes can see it. Without one both are 0.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from django_topsort.events import EVENT_KINDS

if TYPE_CHECKING:
    from django_topsort.events import Event

LINK_FIGURES = ("recorded", "delivered", "rejected", "dropped")


class LastWords(Struct):
    """What was heard of Topsort last: times in seconds since 1970, None for never.

    ``error``: the name and the text of the last failure, as the log has them.
    """

    success_at: float | None = None
    error_at: float | None = None
    error: str = ""


class Accounts:
    """Counters of events by kind; safe between threads, and from zero in a forked child."""

    def __init__(self) -> None:
        self._reset()
        # A child reports its own events; and the parent may have held the lock as it forked.
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._pid = os.getpid()
        # Re-entrant, because a __del__ that records may run while the lock is held.
        self._lock = threading.RLock()
        # No Counters: one calls Python code for a key that it lacks, and a __del__ that ran there
        # and counted would have its figure overwritten.
        self._recorded = dict.fromkeys(EVENT_KINDS, 0)
        self._delivered = dict.fromkeys(EVENT_KINDS, 0)
        self._rejected = dict.fromkeys(EVENT_KINDS, 0)
        self._stored = dict.fromkeys(EVENT_KINDS, 0)
        self._taken = dict.fromkeys(EVENT_KINDS, 0)
        self.last = LastWords()
        self._dropped: dict[tuple[str, str], int] = {}
        self._links = dict.fromkeys(LINK_FIGURES, 0)
        self._links_dropped: dict[str, int] = {}

    def count_link(self, figure: str, reason: str = "") -> None:
        """Count a link of two users: as one of ``LINK_FIGURES``, with the ``reason`` of a drop."""
        self._mind_fork()
        with self._lock:
            self._links[figure] += 1
            if reason:
                self._links_dropped[reason] = self._links_dropped.get(reason, 0) + 1

    def get_link_counts(self) -> dict[str, Any]:
        """Return how many links were recorded, delivered, rejected and dropped, and wait."""
        self._mind_fork()
        with self._lock:
            figures, reasons = dict(self._links), dict(self._links_dropped)
        recorded, *ends = figures.values()
        return {**figures, "waiting": recorded - sum(ends), "reasons": reasons}

    def count_recorded(self, events: Iterable[Event]) -> None:
        """Count events that a backend is about to get."""
        self._mind_fork()
        self._count(self._recorded, events)

    def count_delivered(self, events: Iterable[Event]) -> None:
        """Count events that Topsort, or a backend of another kind, has taken."""
        self._count(self._delivered, events)

    def count_rejected(self, events: Iterable[Event]) -> None:
        """Count events that Topsort has refused."""
        self._count(self._rejected, events)

    def count_stored(self, events: Iterable[Event]) -> None:
        """Count events that are kept where every process can take them from: the outbox."""
        self._count(self._stored, events)

    def count_taken(self, events: Iterable[Event]) -> None:
        """Count events that this process has taken from the outbox, to send them."""
        self._count(self._taken, events)

    def note_success(self) -> None:
        """Note that Topsort has just taken events."""
        self.last.success_at = time.time()

    def note_failure(self, error: str) -> None:
        """Note that a request has just failed, and why."""
        last = self.last
        last.error, last.error_at = error, time.time()

    def count_dropped(self, kind: str, count: int, reason: str) -> None:
        """Count events that are given up, for ``reason``."""
        with self._lock:
            self._add_dropped(kind, count, reason)

    def count_each_dropped(self, events: Iterable[Event], reason: str) -> None:
        """Count events of any kinds that are given up, for ``reason``."""
        for event in events:
            self.count_dropped(event.kind, 1, reason)

    def count_refused(self, kind: str, reason: str, count: int = 1) -> None:
        """Count what could not become an event at all: recorded and dropped in one."""
        self._mind_fork()
        with self._lock:
            self._recorded[kind] += count
            self._add_dropped(kind, count, reason)

    def get_counts(self) -> dict[str, dict[str, Any]]:
        """Return by kind how many were recorded, delivered, rejected and dropped, and wait.

        ``reasons`` says of the dropped how many for which reason. ``taken`` came from the outbox,
        ``stored`` went there; ``waiting`` is what this process holds in memory.
        """
        self._mind_fork()
        with self._lock:
            return {kind: self._get_kind(kind) for kind in EVENT_KINDS}

    def _mind_fork(self) -> None:
        # uWSGI forks without Python's hooks. Where an event's life begins is early enough.
        if self._pid != os.getpid():
            self._reset()

    def _get_kind(self, kind: str) -> dict[str, Any]:
        recorded, delivered = self._recorded[kind], self._delivered[kind]
        rejected = self._rejected[kind]
        stored, taken = self._stored[kind], self._taken[kind]
        # Of a copy, because a __del__ that runs in between may count another reason.
        dropped_by = dict(self._dropped)
        reasons = {why: count for (of, why), count in dropped_by.items() if of == kind}
        dropped = sum(reasons.values())
        return {
            "recorded": recorded,
            "delivered": delivered,
            "rejected": rejected,
            "dropped": dropped,
            "stored": stored,
            "taken": taken,
            "waiting": recorded + taken - delivered - rejected - dropped - stored,
            "reasons": reasons,
        }

    def _count(self, figures: dict[str, int], events: Iterable[Event]) -> None:
        # By class, which takes a third of the time of asking each event for its kind.
        classes = [type(event) for event in events]
        with self._lock:
            for event_class in set(classes):
                # Before the figure is read: until Python 3.12 garbage is collected in calls, and
                # a __del__ that counts would have its figure overwritten.
                number = classes.count(event_class)
                figures[event_class.kind] += number

    def _add_dropped(self, kind: str, count: int, reason: str) -> None:
        key = (kind, reason)
        self._dropped[key] = self._dropped.get(key, 0) + count


accounts = Accounts()
