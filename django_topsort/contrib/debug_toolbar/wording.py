"""Counts and reasons in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django_topsort.events import EVENT_KINDS

NAMES = {
    "impressions": ("impression", "impressions"),
    "clicks": ("click", "clicks"),
    "purchases": ("purchase", "purchases"),
    "pageviews": ("page view", "page views"),
    "attrs": ("element", "elements"),
    "link": ("click link", "click links"),
    "request": ("request", "requests"),
    "event": ("event", "events"),
}
# Why something was left out. Whatever is not here is said by its own name, which README explains.
REASONS = {
    "consent": "the shopper has not consented (TOPSORT_CONSENT)",
    "crawler": "a crawler or another program asks",
    "automated": "a program drives the browser",
    "prefetch": "the browser fetches in advance",
    "head": "a HEAD request shows nothing",
    "hook": "TOPSORT_IGNORE_REQUEST says so",
    "not_known": "it could not be asked again",
    "unknown_product": "TOPSORT_PRODUCT_ID says that Topsort does not know the product",
    "invalid": "wrong data",
    "duplicate": "a repeat",
    "too_many_clicks": "too many clicks (TOPSORT_CLICK_RATE, TOPSORT_CLICK_ADDRESS_RATE)",
    "embedded": "another site has embedded the link",
    "not_taken": "not taken from browsers (TOPSORT_BROWSER_EVENTS)",
    "unsigned_bid": "a bid that is not signed (TOPSORT_REQUIRE_SIGNED_BIDS)",
    "forged_bid": "a bid that this shop has not signed",
    "foreign_bid": "a bid of another shopper",
    "stale_bid": "a bid that was signed too long ago",
    "server_error": "the page has failed, nobody sees it",
    "no_shopper": "nobody knows who ordered",
}


def count(number: int, kind: str) -> str:
    """Return ``"1 page view"`` or ``"3 page views"``; a kind without a name is said as it is."""
    one, many = NAMES.get(kind, (kind, kind))
    return f"{number} {one if number == 1 else many}"


def count_kinds(counts: Mapping[str, int]) -> str:
    """Return ``"3 impressions, 1 page view"``, or that there is nothing."""
    said = [count(counts[kind], kind) for kind in EVENT_KINDS if counts.get(kind)]
    return ", ".join(said) or "nothing recorded"


def explain(reason: str) -> str:
    """Return why something was left out, in words."""
    return REASONS.get(reason, reason)


def sum_up(left_out: Iterable[Mapping[str, object]]) -> str:
    """Return in one line what was left out and why; ``""`` for nothing."""
    said = [f"{one['what']}: {one['why']}" for one in left_out]
    return f"left out {'; '.join(said)}" if said else ""
