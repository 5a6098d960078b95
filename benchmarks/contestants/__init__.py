"""Who takes part: this package, the floor beneath it, and clients of the same kind."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

OURS = "topsort"
FLOOR = "floor"
PEERS = (
    "posthog",
    "segment",
    "rudder",
    "snowplow",
    "mixpanel",
    "sentry_logs",
    "sentry_metrics",
)
ALL = (OURS, FLOOR, *PEERS)
# They take part in one axis each, which knows how; they are where the peers are.
GUESTS = ("django_htmx", "cors_headers", "pydantic")


class Contestant(Protocol):
    """One client, as its documentation says that it is used, with its default settings.

    ``requirement``: the distribution whose version is shown, such as ``posthog``.
    """

    requirement: str

    def start(self, url: str) -> None:
        """Import the client and aim it at the sink at ``url``."""

    def begin_page(self) -> None:
        """Begin a page: what a web framework would do before it shows some events."""

    def record(self, bid: str, position: int) -> None:
        """Record one sponsored impression with its placement, on the caller's thread."""

    def end_page(self) -> None:
        """End the page: hand over what was recorded, where the client has such a moment."""

    def flush(self, timeout: float) -> None:
        """Wait until everything is delivered, as the client's documentation says to."""


def load(name: str) -> Contestant:
    """Return the contestant ``name``; what it stands for is imported by its ``start``."""
    return cast("Contestant", import_module(f"benchmarks.contestants.{name}").Contestant())
