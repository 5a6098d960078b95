"""What a page, or an answer, may say to its browser: whether anything, whose it is, our addresses.

A page with what is meant for one visitor must not be kept for the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import NoReverseMatch, reverse

from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.shoppers import has_consent
from django_topsort.visits import get_ignore_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest

    from django_topsort.collector import Collector

# Who fetches in advance may show the page later, and its script reports only what is shown.
SHOWN_LATER = (None, "head", "prefetch")


def may_track(request: HttpRequest, collector: Collector) -> bool:
    """Whether the shopper may be tracked; asked once a request."""
    allowed: bool | None = collector.found.get("may_track")
    if allowed is None:
        allowed = collector.found["may_track"] = has_consent(request)
    return allowed


def is_told(request: HttpRequest, collector: Collector) -> bool:
    """Whether the browser is told what to report: not without consent, and no crawler is."""
    told: bool | None = collector.found.get("is_told")
    if told is None:
        if collector.found.get("is_ignored") is False:
            told = True  # that has been asked already
        elif get_ignore_reason(request) in SHOWN_LATER:
            told = may_track(request, collector)
        else:
            told = False
            # A cache would give the crawler's page to shoppers, of whom nothing would be heard.
            keep_for_one(request, collector)
        collector.found["is_told"] = told
    return told


def keep_for_one(request: HttpRequest, collector: Collector) -> None:
    """Let no cache keep the page for others: neither Django's own nor, by the middleware, any."""
    if "is_one_visitors" not in collector.found:
        collector.found["is_one_visitors"] = True
        # Django's own mark, on its own request and not on REST framework's. The header would come
        # too late where ours is the first middleware.
        own: Any = getattr(request, "_request", request)
        own._cache_update_cache = False


def get_click_prefix(collector: Collector) -> str:
    """Return what precedes the token in a click link.

    Raises TopsortConfigurationError where ``django_topsort.urls`` is not included.
    """
    return _find_address(collector, "click", ["-"]).removesuffix("-")


def get_events_path(collector: Collector) -> str:
    """Return the path to which browsers post events; raises as ``get_click_prefix``."""
    return _find_address(collector, "events")


def _find_address(collector: Collector, name: str, arguments: Sequence[str] = ()) -> str:
    """Return an address of ours; looked up once a request, as it takes long."""
    key = f"address {name}"
    address: str | None = collector.found.get(key)
    if address is None:
        try:
            address = reverse(f"django_topsort:{name}", args=arguments)
        except NoReverseMatch as error:
            message = (
                "topsort_click_url and topsort_script need the package's URLs: add"
                ' path("topsort/", include("django_topsort.urls")) to those of the project'
            )
            raise TopsortConfigurationError(message) from error
        collector.found[key] = address
    return address
