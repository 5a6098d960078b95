"""Sentry: a log line with attributes."""

from __future__ import annotations

from benchmarks.contestants.impressions import EVENT, build_dsn, describe


class Contestant:
    """Default settings with ``enable_logs``: 100 logs a request or more, gzip.

    What comes while 1,000 wait is dropped.
    """

    requirement = "sentry-sdk"

    def start(self, url: str) -> None:
        """Initialise the SDK with a DSN."""
        import sentry_sdk

        sentry_sdk.init(dsn=build_dsn(url), enable_logs=True)
        self._log = sentry_sdk.logger.info
        self._flush = sentry_sdk.flush

    def begin_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def record(self, bid: str, position: int) -> None:
        """Log it."""
        self._log(EVENT, attributes=describe(bid, position))

    def end_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def flush(self, timeout: float) -> None:
        """Wait until everything is sent."""
        self._flush(timeout=timeout)
