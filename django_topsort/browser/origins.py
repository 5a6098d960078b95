"""Whose page a request comes from: another site's must not report in a shopper's name."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.utils.cache import patch_vary_headers

from django_topsort.conf import topsort_settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PORTS = {"http": 80, "https": 443}
MAX_PREFLIGHT = 24 * 60 * 60  # seconds for which a browser need not ask again


def is_own_page(request: HttpRequest) -> bool:
    """Whether the request comes from a page of this shop, of an allowed origin, or from no page.

    It stands in for a CSRF token, which no script of Topsort's has and no cached page can have. A
    browser says where a request comes from, and a page cannot forge it; an app or a server says
    nothing.
    """
    origin = request.META.get("HTTP_ORIGIN", "")
    site = request.META.get("HTTP_SEC_FETCH_SITE", "")
    if site == "same-origin" or (origin and is_allowed_origin(origin)):
        return True
    if site:
        return False
    return not origin or _is_own_host(request, origin)


def is_allowed_origin(origin: str) -> bool:
    """Whether ``origin`` is one of ``TOPSORT_ALLOWED_ORIGINS``: scheme, host and port."""
    allowed = topsort_settings.TOPSORT_ALLOWED_ORIGINS
    if not isinstance(allowed, list | tuple | set | frozenset):
        return False  # a check says what it must be
    parts = _split(origin)
    return parts is not None and any(
        isinstance(one, str) and _split(one) == parts for one in allowed
    )


def allow_reading(request: HttpRequest, response: HttpResponse) -> None:
    """Let a page of an allowed origin read the answer, or it would take it for a failure."""
    if not topsort_settings.TOPSORT_ALLOWED_ORIGINS:
        return
    patch_vary_headers(response, ["Origin"])
    origin = request.META.get("HTTP_ORIGIN", "")
    if not (origin and is_allowed_origin(origin)):
        return
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Allow-Credentials"] = "true"
    response["Access-Control-Expose-Headers"] = "Retry-After, X-Topsort-User"
    if request.method == "OPTIONS":
        response["Access-Control-Allow-Methods"] = "POST"
        response["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, X-Topsort-User, X-UA"
        )
        response["Access-Control-Max-Age"] = str(MAX_PREFLIGHT)


def _is_own_host(request: HttpRequest, origin: str) -> bool:
    # The scheme does not count: TLS may end at a proxy that does not say so.
    own, parts = _split(f"//{request.get_host()}"), _split(origin)
    if own is None or parts is None or parts[1] != own[1]:
        return False
    ports = {None, *PORTS.values()}
    return parts[2] == own[2] or {parts[2], own[2]} <= ports


def _split(origin: str) -> tuple[str, str, int | None] | None:
    """Return the scheme, the host and the port of an origin, or None for what is none."""
    with suppress(ValueError):  # a port that is no number
        parts = urlsplit(origin)
        if parts.hostname:
            return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
    return None
