"""Segment: a track call."""

from __future__ import annotations

from benchmarks.contestants.impressions import EVENT, USER, describe, wait_for


class Contestant:
    """Default settings: one thread, a queue of 10,000, 100 events a request, no compression."""

    requirement = "segment-analytics-python"

    def start(self, url: str) -> None:
        """Set the write key and the host, as its documentation does for a module-level client."""
        from segment import analytics

        analytics.write_key = "benchmarks"
        analytics.host = url
        self._track = analytics.track
        self._flush = analytics.flush

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
