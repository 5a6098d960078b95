"""Snowplow: a self-describing event."""

from __future__ import annotations

from benchmarks.contestants.impressions import describe, wait_for

SCHEMA = "iglu:com.example/impression/jsonschema/1-0-0"


class Contestant:
    """Default settings, but for the emitter: ten events a request, Base64, no session.

    The emitter is its AsyncEmitter, with its one thread. The default one posts on the caller's
    thread: every tenth event of a page would wait for an answer. A batch that is not full waits
    for the next events or for ``flush``, as there is no timer by default. Of its log only what goes
    wrong is written: it sets itself up to write two lines to stderr for each request.
    """

    requirement = "snowplow-tracker"

    def start(self, url: str) -> None:
        """Make a tracker with an emitter."""
        import logging

        from snowplow_tracker import AsyncEmitter, SelfDescribing, SelfDescribingJson, Tracker

        logging.getLogger("snowplow_tracker.emitters").setLevel(logging.WARNING)
        self._tracker = Tracker(namespace="shop", emitters=AsyncEmitter(url), app_id="shop")
        self._event, self._json = SelfDescribing, SelfDescribingJson

    def begin_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def record(self, bid: str, position: int) -> None:
        """Track an event."""
        self._tracker.track(self._event(self._json(SCHEMA, describe(bid, position))))

    def end_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def flush(self, timeout: float) -> None:
        """Send what waits, and wait for it: it waits without end itself."""
        wait_for(self._tracker.flush, timeout)
