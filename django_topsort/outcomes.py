"""What became of purchases that this process reports, for a command that has to say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django_topsort import exceptions
from django_topsort.accounts import accounts
from django_topsort.delivery import flush
from django_topsort.signals import events_delivered, events_dropped, events_rejected

if TYPE_CHECKING:
    from django_topsort.events import Event

COUNTED = ("recorded", "delivered", "rejected", "dropped", "stored", "taken", "waiting")
MAX_NAMED = 1000  # purchases that are remembered by id


class Outcomes:
    """Listens, within a ``with`` block, to what becomes of purchases of this process.

    ``failed``: the first thousand that were refused or given up, by id, and why. ``last``: what
    became of those of which something was heard last, by id.
    """

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self.last: dict[str, str] = {}
        self._before: dict[str, Any] = {}
        self._error_at: float | None = None

    def __enter__(self) -> Self:
        self._before = accounts.get_counts()["purchases"]
        self._error_at = accounts.last.error_at
        events_delivered.connect(self._note_delivered)
        events_rejected.connect(self._note_rejected)
        events_dropped.connect(self._note_dropped)
        return self

    def __exit__(self, *error: object) -> None:
        events_delivered.disconnect(self._note_delivered)
        events_rejected.disconnect(self._note_rejected)
        events_dropped.disconnect(self._note_dropped)

    def flush(self, timeout: float) -> bool:
        """Send what waits for up to ``timeout`` seconds; return whether nothing waits any more."""
        return flush(timeout)

    def get_figures(self) -> dict[str, Any]:
        """Return how many purchases were recorded, delivered, and so on, since the block began.

        ``reasons``: of those that were dropped, by reason.
        """
        now = accounts.get_counts()["purchases"]
        figures: dict[str, Any] = {name: now[name] - self._before[name] for name in COUNTED}
        before = self._before["reasons"]
        reasons = {why: count - before.get(why, 0) for why, count in now["reasons"].items()}
        figures["reasons"] = {why: count for why, count in reasons.items() if count}
        return figures

    def describe(self, purchase_id: str) -> str:
        """Return what became of a purchase: ``"delivered"``, ``"duplicate"``, or in more words."""
        if became := self.last.get(purchase_id):
            return became
        figures = self.get_figures()
        if figures["reasons"].get("disabled"):
            return "dropped: reporting is off (the dummy backend)"
        if not figures["recorded"]:
            return "not reported yet: its transaction has not been committed"
        return f"not delivered yet, it waits: {self.get_error() or 'no answer'}"

    def get_error(self) -> str:
        """Return the last failure of a request since the block began, ``""`` if there was none."""
        last = accounts.last
        if last.error_at is None or last.error_at == self._error_at:
            return ""
        return last.error

    def get_refusal(self) -> str:
        """Return the failure that no other try can mend, such as a key that Topsort refuses."""
        error = self.get_error()
        error_class = getattr(exceptions, error.partition(" ")[0], None)
        return error if getattr(error_class, "configuration", False) else ""

    def _note_delivered(self, events: list[Event], **facts: object) -> None:
        self._note(events, "delivered")

    def _note_rejected(self, events: list[Event], error: Exception, **facts: object) -> None:
        self._note(events, f"refused by Topsort: {error}", is_failure=True)

    def _note_dropped(self, events: list[Event], reason: str, **facts: object) -> None:
        if reason == "duplicate":
            self._note(events, reason)
        else:
            self._note(events, f"given up: {reason}", is_failure=True)

    def _note(self, events: list[Event], became: str, *, is_failure: bool = False) -> None:
        for event in events:
            if event.kind == "purchases":
                # What is asked for is asked for at once; the others need not be known for long.
                if len(self.last) >= MAX_NAMED:
                    self.last.clear()
                self.last[event.id] = became
                if is_failure and len(self.failed) < MAX_NAMED:
                    self.failed[event.id] = became
