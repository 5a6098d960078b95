"""Paths of pages, as browsers tell them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from django_topsort.fields import MAX_TEXT
from django_topsort.visits import UNESCAPED

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.collector import Collector

ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def clean_path(path: str) -> str:
    """Return the path alone, of what may be a whole address or have a query string.

    A query string may hold search texts and e-mail addresses. What a hash router has for a path
    (``#/shoes``) is one.
    """
    if path.startswith("#/"):
        return "#" + _cut(path[1:])
    if match := ORIGIN.match(path):
        path = path[match.end() :]
    return _cut(path) or "/"


def is_clean(path: str) -> bool:
    """Whether ``clean_path`` would return ``path`` itself."""
    return "?" not in path and "#" not in path and "://" not in path


def find_referer_path(request: HttpRequest, collector: Collector) -> str | None:
    """Return what ``get_referer_path`` does, looked up once a request, and only if it is needed."""
    found = collector.found
    if "referer_path" not in found:
        found["referer_path"] = get_referer_path(request)
    path: str | None = found["referer_path"]
    return path


def get_referer_path(request: HttpRequest) -> str | None:
    """Return the path of the page that sends this request, None where it does not say it.

    A page of another host says no more than its host.
    """
    with suppress(Exception):  # an address that is none, or a host that Django refuses
        parts = urlsplit(request.META.get("HTTP_REFERER", ""))
        if parts.netloc.lower() == request.get_host().lower():
            # As browsers write it; others may send letters beyond ASCII as they are.
            return quote(parts.path, safe=f"%{UNESCAPED}", errors="replace")[:MAX_TEXT] or "/"
    return None


def _cut(path: str) -> str:
    return re.split(r"[?#]", path, maxsplit=1)[0]
