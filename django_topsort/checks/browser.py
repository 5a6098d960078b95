"""Checks of the settings for what browsers report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.conf import settings

from django_topsort.checks.messages import build_warning
from django_topsort.checks.values import (
    LONG_SECONDS,
    Rule,
    check_rule,
    is_duration,
)
from django_topsort.events import EVENT_KINDS
from django_topsort.traffic import read_rate

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

MIN_BODY = 64 * 1024  # bytes; what the script sends at once, and a browser when a page is left
MAX_BODY = 16 * 1024 * 1024  # bytes; what a browser reports in one go is a thousandth of that
ORIGIN = re.compile(r"https?://[^\s/*@?#,;]+", re.IGNORECASE)
RATE_RULE = 'it must be a number and a period, such as "60/minute" or "1000/hour", or None'


def is_list(value: object) -> bool:
    """Whether ``value`` lists something, and is no text."""
    return isinstance(value, list | tuple | set | frozenset)


def is_kinds(value: Any) -> bool:
    """Whether ``value`` lists kinds of events."""
    return is_list(value) and all(kind in EVENT_KINDS for kind in value)


def is_origins(value: Any) -> bool:
    """Whether ``value`` lists origins: scheme and host, and perhaps a port."""
    return is_list(value) and all(
        isinstance(origin, str) and ORIGIN.fullmatch(origin) for origin in value
    )


def is_rate(value: object) -> bool:
    """Whether ``value`` is None or a rate."""
    return value is None or read_rate(value) is not None


def is_size(value: object) -> bool:
    """Whether ``value`` is a number of bytes that whatever a browser sends at once fits into."""
    return type(value) is int and MIN_BODY <= value <= MAX_BODY


def is_share(value: object) -> bool:
    """Whether ``value`` is a share of an element: above 0, and not more than all of it."""
    return type(value) in (int, float) and 0 < value <= 1  # type: ignore[operator]


def is_dwell(value: object) -> bool:
    """Whether ``value`` is a number of seconds for which a shopper may look at something."""
    return type(value) in (int, float) and 0 <= value <= 60  # type: ignore[operator]


RULES = {
    "TOPSORT_BROWSER_EVENTS": Rule(
        "E051", is_kinds, f"it must be a list of some of {', '.join(EVENT_KINDS)}"
    ),
    "TOPSORT_ALLOWED_ORIGINS": Rule(
        "E052",
        is_origins,
        'it must be a list of origins, without a path and wildcard, such as ["https://m.shop.example"]',
    ),
    "TOPSORT_MAX_BODY_SIZE": Rule(
        "E053", is_size, f"it must be a whole number of bytes from {MIN_BODY} to {MAX_BODY}"
    ),
    "TOPSORT_EVENTS_THROTTLE_RATE": Rule("E054", is_rate, RATE_RULE),
    "TOPSORT_EVENTS_ADDRESS_THROTTLE_RATE": Rule("E055", is_rate, RATE_RULE),
    "TOPSORT_CLICK_RATE": Rule("E056", is_rate, RATE_RULE),
    "TOPSORT_DUPLICATE_WINDOW": Rule(
        "E057", lambda value: type(value) is int and is_duration(value), LONG_SECONDS
    ),
    "TOPSORT_REQUIRE_SIGNED_BIDS": Rule(
        "E058", lambda value: isinstance(value, bool), "it must be True or False"
    ),
    "TOPSORT_VIEWABLE_SHARE": Rule("E059", is_share, "it must be a number above 0, and at most 1"),
    "TOPSORT_VIEWABLE_SECONDS": Rule(
        "E060", is_dwell, "it must be a number of seconds, from 0 to 60"
    ),
    "TOPSORT_USER_HEADER": Rule(
        "E061", lambda value: isinstance(value, bool), "it must be True or False"
    ),
    "TOPSORT_CLICK_ADDRESS_RATE": Rule("E062", is_rate, RATE_RULE),
}


def check_cache_is_shared(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn where each process counts for itself what a shopper or a client has done."""
    name = str(settings.CACHES.get("default", {}).get("BACKEND", ""))
    if not name.endswith((".LocMemCache", ".DummyCache")):
        return []
    text = (
        f"CACHES: the default one is {name.rpartition('.')[2]}, so that each process counts for"
        " itself: a shopper's repeated clicks, and how many a client may make, count once in each."
    )
    hint = (
        "Let it be one that all processes share, such as"
        " django.core.cache.backends.redis.RedisCache; with a single process silence this."
    )
    return [build_warning("W017", text, hint)]


def check_browser_values(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require of each setting for browsers its type, range or choices."""
    return [message for name, rule in RULES.items() for message in check_rule(name, rule)]
