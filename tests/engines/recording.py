"""What the web process of these tests records."""

from __future__ import annotations

from tests.sending.engine import build_event

KINDS = ("impressions", "clicks", "purchases", "pageviews")


def record_all(name: str, count: int = 1) -> None:
    """Record an event of each kind, ``count`` times over."""
    from django_topsort.tracking import record

    for number in range(count):
        for kind in KINDS:
            record(build_event(kind, f"{name}-{kind}-{number}"))
