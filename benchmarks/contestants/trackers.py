"""What Segment's client and RudderStack's, which came of it, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.contestants.impressions import EVENT, USER, describe, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable


class Tracker:
    """A client that takes events by ``track``; ``start`` sets that and ``flush``."""

    _track: Callable[..., Any]
    _flush: Callable[[], object]

    def begin_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def record(self, bid: str, position: int) -> None:
        """Track an event of the shopper."""
        self._track(USER, EVENT, describe(bid, position))

    def end_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def flush(self, timeout: float) -> None:
        """Wait until its queue is empty: it waits without end itself."""
        wait_for(self._flush, timeout)
