"""Saying what became of events, and seeing off those that are given up.

Outside of the engine's lock: a receiver of a signal may take its time, and so may the overflow,
which is a database or a disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from django_topsort.lineage import lineage

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.backlog import Backlog
    from django_topsort.sending.posting import Outcome
    from django_topsort.sending.turn import Turn
    from django_topsort.sending.wiring import Wiring

MAX_UNSAID = 1000  # events that wait for a thread of the engine's to see them off
logger = logging.getLogger(__name__)

RANKS = {"purchases": 0, "clicks": 1, "impressions": 2}
PART = 500  # events that are given to the overflow at once
MAX_HELD = 10_000  # beyond which they are dropped, because the overflow does not keep up


class Farewells:
    """Who is saying something of events, and what is still to be said of those that have to go."""

    def __init__(self, wiring: Wiring, turn: Turn, backlog: Backlog) -> None:
        self._wiring = wiring
        self._turn = turn
        self._backlog = backlog
        self._by: list[int] = []  # threads that say something, some of them one thing in another
        self._leaving: list[tuple[Sequence[Event], str]] = []
        self._being_written = 0
        self._helper: threading.Thread | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nobody says anything, and nothing is left to be said."""
        return not (self._by or self._leaving)

    @property
    def is_speaking(self) -> bool:
        """Whether a thread is saying something."""
        return bool(self._by)

    def forget(self) -> None:
        """Leave it to another process to say what is left."""
        self._leaving.clear()

    def is_by(self, ident: int) -> bool:
        """Whether it is the thread ``ident`` that says something."""
        return ident in self._by

    def begin(self) -> None:
        """Note, under the lock, that this thread is about to say something."""
        self._by.append(threading.get_ident())

    def end(self) -> None:
        """Note that this thread has said it."""
        with self._turn.lock:
            self._by.remove(threading.get_ident())
            self._turn.settled.notify_all()

    def say(self, outcome: Outcome, expired: Sequence[Event]) -> None:
        """Say what became of a batch, after ``begin()``."""
        report = self._wiring.report
        try:
            with ExitStack() as stack:  # all of it, even if a receiver throws a SystemExit
                if expired:
                    stack.callback(self._give_up, expired, "expired")
                if outcome.duplicates:
                    stack.callback(report.dropped, outcome.duplicates, "duplicate")
                if outcome.error is not None:
                    stack.callback(report.failed, outcome.error, len(outcome.waiting))
                for event, error in reversed(outcome.rejected):
                    stack.callback(report.rejected, [event], error)
                if outcome.delivered:
                    stack.callback(report.delivered, outcome.delivered)
        finally:
            self.end()

    def dismiss(self, events: Sequence[Event], reason: str) -> None:
        """Note, under the lock, that ``events`` have to go; ``see_off`` sees to it."""
        if events:
            # What is of most worth first, should the time not be enough for all.
            self._leaving.append((sorted(events, key=_get_rank), reason))

    def see_off(self) -> None:
        """Give what has to go to the overflow, a part at a time, and say what is dropped."""
        while True:
            with self._turn.lock:
                part = self._take_part()
                if part is None:
                    return
                self.begin()
            try:
                self._give_up(*part)
            finally:
                self._being_written = 0
                self.end()

    def wait(self, deadline: float) -> None:
        """Wait until all that has to go has been seen off; at the deadline, drop it.

        A database that hangs must not hold up the end of a process.
        """
        clock = self._wiring.clock
        if self.is_by(threading.get_ident()):
            self.see_off()  # a receiver that ends the process: nobody waits for itself
            return
        with self._turn.lock:
            while not self.is_silent and clock() < deadline:
                self._turn.settled.wait(min(1.0, max(0.0, deadline - clock())))
            leaving = self._take()  # but for the part that is being written
            if self._being_written:
                said, count = "ending while the overflow takes events=%s", self._being_written
                fields = {"event": "ending_while_the_overflow_takes", "events": count}
                logger.warning(said, count, extra={"topsort": fields})
        for events, reason in leaving:
            self._wiring.report.dropped(events, reason)

    def relieve(self) -> None:
        """See off what has to go, where no thread of the engine's has had the time for it.

        In another thread: a request must not wait for the overflow. What that one cannot keep up
        with is dropped, so that it does not grow without bound.
        """
        if len(self._backlog.shed) <= MAX_UNSAID:
            return
        if len(self._backlog.shed) > MAX_HELD:
            with self._turn.lock:
                leaving = self._take()
            for events, reason in leaving:
                self._wiring.report.dropped(events, reason)
        else:
            self.see_off_elsewhere()

    def see_off_elsewhere(self) -> None:
        """See off what has to go in a thread of its own; here, where none can be started."""
        with self._turn.lock:
            if self._helper is not None and self._helper.is_alive():
                return
            self._helper = threading.Thread(
                target=self.see_off, name="django-topsort-overflow", daemon=True
            )
            helper = self._helper
        try:
            helper.start()
        except RuntimeError:
            self.see_off()

    def _take_part(self) -> tuple[Sequence[Event], str] | None:
        """Return what is next, at most so much that it is soon done, and leave the rest.

        Nothing, while another thread has a part: it comes back for the rest.
        """
        if self._being_written:
            return None
        self._leaving = self._take()
        if not self._leaving:
            return None
        events, reason = self._leaving.pop(0)
        if len(events) > PART:
            self._leaving.insert(0, (events[PART:], reason))
        self._being_written = min(PART, len(events))
        return events[:PART], reason

    def _take(self) -> list[tuple[Sequence[Event], str]]:
        shed, self._backlog.shed = self._backlog.shed, []
        self.dismiss(shed, "overflow")
        leaving, self._leaving = self._leaving, []
        return leaving

    def _give_up(self, events: Sequence[Event], reason: str) -> None:
        left = self._wiring.overflow(events)
        if left:
            with lineage.sending(left):
                self._wiring.report.dropped(left, reason)


def _get_rank(event: Event) -> int:
    return RANKS.get(event.kind, len(RANKS))
