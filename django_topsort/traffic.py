"""Telling what people do from what looks like it: repeats, and more clicks than anybody makes.

All of it is counted in Django's default cache, which should be one that all processes share. A
cache that is down lets everything through.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches

from django_topsort.clicks import get_seconds
from django_topsort.conf import topsort_settings
from django_topsort.events import Click, Event, Impression

# As Django REST framework writes rates.
RATE = re.compile(r"([1-9]\d{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)", re.ASCII)
PERIODS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}
DAY = PERIODS["d"]  # in seconds; what a browser has kept for longer happens when it comes
MAX_VARIANTS = 10  # of the clicks on one bid; a page has a handful of buttons for each product
TOO_MANY = "-"  # kept in the place of an event's id, so that it is no event's second attempt
MAX_PERIODS = 120  # of one request; each costs the cache a call or two


class Rate(NamedTuple):
    """How often something may happen: ``number`` times within ``seconds``."""

    number: int
    seconds: int


def read_rate(text: object) -> Rate | None:
    """Return the rate that a text such as ``"60/minute"`` stands for, or None where it is none."""
    return _parse_rate(text) if isinstance(text, str) else None


@lru_cache(maxsize=64)  # of settings, which are few
def _parse_rate(text: str) -> Rate | None:
    match = RATE.fullmatch(text)
    return Rate(int(match[1]), PERIODS[match[2][0]]) if match else None


def split_repeats(events: Sequence[Event], name: str) -> tuple[list[Event], list[Event]]:
    """Return the events that count, and those that repeat what this shopper has done just now.

    ``name``: the shopper's ``cache_name``, by which no id counts as another one's. Only what has a
    bid can be a repeat: an impression or a click of the same bid (and the same attributed product
    and click type) within ``TOPSORT_DUPLICATE_WINDOW`` seconds. The same event
    once more, by its id, is none: it is another attempt, which Topsort counts once. The bids must
    be those of the auction, and not signed ones. Never raises.

    Two processes that look at once may both let a repeat through, because none waits for another.
    A click that comes alone cannot be let through twice: the cache takes one of two.

    Attribution and click type are the browser's to choose: clicks with one of them count ten times
    for one bid and shopper within the window.
    """
    counted = list(events)
    keys = {
        index: _build_seen_key(event, name)
        for index, event in enumerate(counted)
        if isinstance(event, (Impression, Click)) and event.resolved_bid_id is not None
    }
    if not keys:
        return counted, []
    try:
        window = get_seconds("TOPSORT_DUPLICATE_WINDOW")
        if window <= 0:
            return counted, []
        if len(counted) == 1 and type(counted[0]) is Click:
            repeats = {0} if _is_repeated_click(counted[0], keys[0], name, window) else set()
        else:
            repeats = _look_for_repeats(counted, keys, name, window)
    except Exception:
        return counted, []  # a cache that is down, or a setting that nobody can read
    return _split(counted, repeats)


def _split(events: list[Event], indexes: set[int]) -> tuple[list[Event], list[Event]]:
    """Return the events that are not at ``indexes``, and those that are."""
    if not indexes:
        return events, []
    return (
        [event for index, event in enumerate(events) if index not in indexes],
        [event for index, event in enumerate(events) if index in indexes],
    )


def _build_seen_key(event: Impression | Click, name: str) -> str:
    """Return how the cache knows what ``event`` does, which has a bid."""
    product = event.additional_attribution
    return build_key(
        "seen",
        name,
        event.kind,
        _get_bid(event),
        "" if product is None else f"{product.type}:{product.id}",
        (event.click_type or "") if isinstance(event, Click) else "",
    )


def _is_repeated_click(click: Click, key: str, name: str, window: int) -> bool:
    """Whether a click repeats another: one call where it does not, and of two at once one does."""
    # Not whatever is false: None is what a cache says that keeps its errors to itself.
    if cache.add(key, click.id, window) is not False:
        if _is_variant(click) and not _count_variants(click, 1, name, window):
            cache.set(key, TOO_MANY, window)
            return True
        return False
    first = cache.get(key)
    return isinstance(first, str) and first != click.id


def _look_for_repeats(
    events: Sequence[Event], keys: Mapping[int, str], name: str, window: int
) -> set[int]:
    """Return which events repeat another, by their indexes, and keep those that do not."""
    store = caches[DEFAULT_CACHE_ALIAS]
    answer: Any = store.get_many(set(keys.values()))
    seen: dict[str, Any] = dict(answer) if isinstance(answer, Mapping) else {}
    new: dict[str, str] = {}
    variants: dict[str, list[tuple[str, Click]]] = {}
    for index, key in keys.items():
        if not isinstance(seen.get(key), str):
            event = events[index]
            new[key] = seen[key] = event.id
            if _is_variant(event):
                variants.setdefault(_get_bid(event), []).append((key, event))
    for clicks in variants.values():
        counted = _count_variants(clicks[0][1], len(clicks), name, window)
        for key, _ in clicks[counted:]:
            new[key] = seen[key] = TOO_MANY
    if new:
        store.set_many(new, window)
    return {index for index, key in keys.items() if seen[key] != events[index].id}


def _is_variant(event: Event) -> TypeGuard[Click]:
    """Whether it is a click with what the browser chooses, so that none need be like another."""
    return type(event) is Click and bool(event.additional_attribution or event.click_type)


def _count_variants(click: Click, number: int, name: str, window: int) -> int:
    """Count ``number`` new variants of the click's bid; return how many of them still count."""
    return count_up(build_key("variants", name, _get_bid(click)), number, MAX_VARIANTS, window)


def _get_bid(event: Impression | Click) -> str:
    """Return the bid without the blanks by which it would look like another."""
    return (event.resolved_bid_id or "").strip()


def split_floods(
    events: Sequence[Event], name: str, address: str
) -> tuple[list[Event], list[Event]]:
    """Return the events that count, and the clicks beyond what a person, or an address, makes.

    ``name``: a shopper's ``cache_name``, or what stands for a client that brings no id.
    ``TOPSORT_CLICK_RATE`` says how many clicks count in each of its periods, which begin with the
    clock's and not with a first click. A click belongs to the period in which it happened, if that
    is within the last day, such as one that has waited for the network. ``address``: of those of
    one address ``TOPSORT_CLICK_ADDRESS_RATE`` count, by when they come: ids and times are anybody's
    to invent. All count where a setting says nothing, and where the cache does not count. Never
    raises.

    Ask it before ``split_repeats``, which remembers what it lets through.
    """
    clicks = [index for index, event in enumerate(events) if type(event) is Click]
    if not clicks:
        return list(events), []
    now = time.time()
    counted = _count_of_address(clicks, address, now)
    counted = _count_of_shopper(events, counted, name, now)
    return _split(list(events), {*clicks} - {*counted})


def _count_of_address(clicks: list[int], address: str, now: float) -> list[int]:
    """Return which of the ``clicks``, by their indexes, are within the address's rate."""
    rate = read_rate(topsort_settings.TOPSORT_CLICK_ADDRESS_RATE)
    if rate is None:
        return clicks
    # The period is in the key: some of Django's caches keep a number longer at each increase.
    key = build_key("address-clicks", address, str(int(now // rate.seconds)))
    return clicks[: count_up(key, len(clicks), rate.number, rate.seconds)]


def _count_of_shopper(
    events: Sequence[Event], clicks: list[int], name: str, now: float
) -> list[int]:
    """Return which of the ``clicks``, by their indexes, are within the shopper's rate."""
    rate = read_rate(topsort_settings.TOPSORT_CLICK_RATE)
    if rate is None:
        return clicks
    counted: list[int] = []
    current = int(now // rate.seconds)
    for period, group in _group_by_period(events, clicks, rate, now).items():
        key = build_key("clicks", name, str(period))
        # What has waited comes at any time of the day, and a period of late is soon over.
        seconds = rate.seconds * 2 if period >= current - 1 else DAY
        counted += group[: count_up(key, len(group), rate.number, seconds)]
    return counted


def _group_by_period(
    events: Sequence[Event], clicks: Sequence[int], rate: Rate, now: float
) -> dict[int, list[int]]:
    """Return which of the ``clicks``, by their indexes, happened in which period of ``rate``."""
    groups: dict[int, list[int]] = {}
    current = int(now // rate.seconds)
    for index in clicks:
        moment = events[index].occurred_at.timestamp()
        period = int(moment // rate.seconds) if now - DAY <= moment <= now else current
        if period not in groups and len(groups) >= MAX_PERIODS:
            period = current
        groups.setdefault(period, []).append(index)
    return groups


def count_up(key: str, number: int, limit: int, seconds: int) -> int:
    """Count ``number`` more under ``key``; return how many of them are within ``limit``.

    All of them where the cache is down, has lost the number, or holds something else.
    """
    try:
        store = caches[DEFAULT_CACHE_ALIAS]  # and not ``cache``, which finds it anew at each use
        total: Any = number if store.add(key, number, seconds) else store.incr(key, number)
        left = limit - int(total - number)
    except Exception:
        return number
    return max(0, min(number, left))


def build_key(sort: str, *parts: str) -> str:
    """Return a key that shows nothing: memcached takes 250 characters, and no blanks."""
    text = "\0".join(parts)
    return f"topsort:{sort}:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"
