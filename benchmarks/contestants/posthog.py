"""PostHog: an event with properties."""

from __future__ import annotations

from benchmarks.contestants.impressions import EVENT, USER, describe


class Contestant:
    """Default settings: one thread, a queue of 10,000, 100 events a request, no compression.

    Over plain HTTP it goes without the two retries of its HTTP adapter, which is there for
    ``https://`` only; its own ten are all there.
    """

    requirement = "posthog"

    def start(self, url: str) -> None:
        """Set the key and the host, as its documentation does for a module-level client."""
        import posthog

        posthog.api_key = "phc_benchmarks"
        posthog.host = url
        self._capture = posthog.capture
        self._flush = posthog.flush

    def begin_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def record(self, bid: str, position: int) -> None:
        """Capture an event of the shopper."""
        self._capture(EVENT, distinct_id=USER, properties=describe(bid, position))

    def end_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def flush(self, timeout: float) -> None:
        """Wait until its queue is empty."""
        self._flush(timeout_seconds=timeout)
