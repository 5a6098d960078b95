"""Segment: a track call."""

from __future__ import annotations

from benchmarks.contestants.trackers import Tracker


class Contestant(Tracker):
    """Default settings: one thread, a queue of 10,000, 100 events a request, no compression."""

    requirement = "segment-analytics-python"

    def start(self, url: str) -> None:
        """Set the write key and the host, as its documentation does for a module-level client."""
        from segment import analytics

        analytics.write_key = "benchmarks"
        analytics.host = url
        self._track = analytics.track
        self._flush = analytics.flush
