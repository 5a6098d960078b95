"""Sentry: a counter with attributes."""

from __future__ import annotations

from benchmarks.contestants.impressions import EVENT, build_dsn, describe


class Contestant:
    """Default settings: 1,000 metrics a request or more, gzip.

    What comes while 10,000 wait is dropped.
    """

    requirement = "sentry-sdk"

    def start(self, url: str) -> None:
        """Initialise the SDK with a DSN."""
        import sentry_sdk

        sentry_sdk.init(dsn=build_dsn(url))
        self._count = sentry_sdk.metrics.count
        self._flush = sentry_sdk.flush

    def begin_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def record(self, bid: str, position: int) -> None:
        """Count it."""
        self._count(EVENT, 1, attributes=describe(bid, position))

    def end_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def flush(self, timeout: float) -> None:
        """Wait until everything is sent."""
        self._flush(timeout=timeout)
