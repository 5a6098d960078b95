"""RudderStack: a track call."""

from __future__ import annotations

from benchmarks.contestants.trackers import Tracker


class Contestant(Tracker):
    """Default settings: one thread, a queue of 10,000, 100 events a request, gzip."""

    requirement = "rudder-sdk-python"

    def start(self, url: str) -> None:
        """Set the write key and the data plane, as its documentation does."""
        from rudderstack import analytics

        analytics.write_key = "benchmarks"
        analytics.dataPlaneUrl = url
        self._track = analytics.track
        self._flush = analytics.flush
