"""How many events were left out on purpose, day by day, in all processes together.

The accounts are of one process. These figures are in Django's default cache, so that a command can
show them where all processes share one. A cache that is down counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.core.cache import cache

# Left out on purpose, so that nothing is lost: the other one of a pair is on its way, or no person
# has done it. Anybody can cause as many as he likes.
HARMLESS = frozenset(
    {"duplicate", "crawler", "automated", "prefetch", "head", "hook", "too_many_clicks", "embedded"}
    | {"forged_bid", "foreign_bid", "stale_bid", "unsigned_bid", "not_taken"}
)
DAYS = 2  # today and yesterday, by UTC
SECONDS = (DAYS + 1) * 24 * 60 * 60


def tally(kind: str, reason: str, count: int) -> None:
    """Add ``count`` events of ``kind`` to those of today that were left out for ``reason``."""
    with suppress(Exception):
        key = _build_key(_get_day(0), kind, reason)
        if cache.add(key, count, timeout=SECONDS) is False:
            cache.incr(key, count)


def get_tallies(
    kinds: Iterable[str], reasons: Iterable[str]
) -> dict[str, dict[str, dict[str, int]]]:
    """Return by day (``"2026-11-25"``), kind and reason how many were left out, if any were."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    places = {_build_key(*place): place for place in _list_places([*kinds], [*reasons])}
    with suppress(Exception):
        for key, count in cache.get_many([*places]).items():
            day, kind, reason = places[key]
            found.setdefault(day, {}).setdefault(kind, {})[reason] = int(count)
    return found


def _list_places(kinds: list[str], reasons: list[str]) -> Iterator[tuple[str, str, str]]:
    for ago in range(DAYS):
        for kind in kinds:
            for reason in reasons:
                yield _get_day(ago), kind, reason


def _get_day(ago: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}"


def _build_key(day: str, kind: str, reason: str) -> str:
    return f"topsort:left-out:{day}:{kind}:{reason}"
