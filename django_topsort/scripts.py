"""The script tag that makes a browser report, to this site and never to Topsort.

No key is in it: the browser needs none, and the shopper's cookie says who it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from django_topsort.conf import topsort_settings
from django_topsort.delivery import refuse
from django_topsort.exceptions import InvalidEvent, TopsortConfigurationError
from django_topsort.facts import build_page, get_collector
from django_topsort.pages import get_click_prefix, get_events_path, is_told

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.collector import Collector

SCRIPT = "django_topsort/topsort.js"
ANALYTICS_JS = "analytics.js"
EVENTS = "/v2/events"  # what Topsort's own scripts put behind the address that they are given
VIEWABLE = {"TOPSORT_VIEWABLE_SHARE": "share", "TOPSORT_VIEWABLE_SECONDS": "seconds"}
# With these, no text in a script can end the element that holds it.
JSON_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}
# Topsort's script would set the cookie itself, for one directory of the shop and beside ours.
READ_COOKIE = (
    'getUserId: function () { var start = this.cookieName + "="; var found = document.cookie'
    '.split("; ").find(function (one) { return one.indexOf(start) === 0; });'
    ' return found ? found.slice(start.length) : "-"; }'
)

_nothing = SafeString("")


def build_script(
    request: HttpRequest,
    page_type: str | None = None,
    page_id: object = None,
    value: object = None,
    *,
    nonce: object = None,
    provider: str | None = None,
    src: str | None = None,
) -> SafeString:
    """Return the element that loads the script, or ``""`` for crawlers and without consent.

    With ``page_type`` the browser reports the page as well; the three as for ``track_pageview``.
    ``nonce``: for a Content Security Policy, by default that of django-csp or Django 6.
    ``provider="analytics.js"``: Topsort's own script, which ``src`` names; it reports no pages.
    ``src``: a URL, a path from the root, or the name of a static file.

    Raises TopsortConfigurationError where ``django_topsort.urls`` is not included, or the static
    file cannot be found, and InvalidEvent for wrong arguments, while ``TOPSORT_STRICT`` holds;
    otherwise that is logged, and nothing is returned. A wrong page costs the page view alone.
    """
    try:
        collector = get_collector(request)
        if not is_told(request, collector):
            return _nothing
        if not page_type and collector.observer is not None:
            collector.observer.note_told("script", None)
        mark = _build_nonce(request, nonce)
        if provider:
            source = _read_source(provider, page_type, src)
            return mark_safe(_build_foreign(request, collector, source, mark))  # noqa: S308  # escaped
        attributes = [
            f'src="{escape(_find_address(src or SCRIPT))}"',
            f"defer{mark}",
            f'data-ts-url="{escape(get_events_path(collector))}"',
            f'data-ts-clicks="{escape(get_click_prefix(collector))}"',
            *_write_viewable(),
            *_write_page(request, collector, page_type, page_id, value),
        ]
        return mark_safe(f"<script {' '.join(attributes)}></script>")  # noqa: S308  # all are escaped
    except Exception as error:
        refuse("script", error, request)
        return _nothing


def _write_page(
    request: HttpRequest, collector: Collector, page_type: Any, page_id: object, value: object
) -> Iterator[str]:
    if not page_type:
        if page_id or value:
            refuse("script", InvalidEvent("page_type", page_type, "it must be given for a page"))
        return
    try:
        page = build_page(request, collector, page_type, page_id, value)
    except Exception as error:
        refuse("pageviews", error, request)
        return
    if collector.observer is not None:
        collector.observer.note_told("script", page)
    yield f'data-ts-page="{escape(msgspec.json.encode(page).decode())}"'


def _write_viewable() -> Iterator[str]:
    """Write when something counts as seen, where the project says it otherwise than we do."""
    for name, short in VIEWABLE.items():
        value = getattr(topsort_settings, name)
        # A check says what else it must be.
        if type(value) in (int, float) and value != getattr(type(topsort_settings), name).default:
            yield f'data-ts-{short}="{value}"'


def _read_source(provider: str, page_type: object, src: str | None) -> str:
    """Return where the script of ``provider`` is. Raises InvalidEvent for what does not fit it."""
    if provider != ANALYTICS_JS:
        rule = f'it must be "{ANALYTICS_JS}", or nothing for the script of this package'
        raise InvalidEvent("provider", provider, rule)
    if not src:
        raise InvalidEvent("src", src, f"it must say where {ANALYTICS_JS} is: a URL or static file")
    if page_type:
        rule = f"{ANALYTICS_JS} reports no pages; use topsort_pageview"
        raise InvalidEvent("page_type", page_type, rule)
    return src


def _build_foreign(request: HttpRequest, collector: Collector, src: str, mark: str) -> str:
    """Return Topsort's own script, and before it what tells it where to post."""
    content = {
        "url": request.build_absolute_uri(get_events_path(collector)).removesuffix(EVENTS),
        "token": "unused",  # without one it waits for one
        "cookieName": topsort_settings.TOPSORT_COOKIE_NAME,
    }
    said = json.dumps(content).translate(JSON_ESCAPES).removesuffix("}")
    return (
        f"<script{mark}>window.TS = {said}, {READ_COOKIE}}};</script>"
        f'<script src="{escape(_find_address(src))}" defer{mark}></script>'
    )


def _find_address(src: str) -> str:
    """Return the address of a script: ``src`` itself, or that of the static file of this name."""
    if src.startswith(("/", "https://", "http://")):
        return src
    if not settings.STATIC_URL:
        message = f"STATIC_URL is not set, so a page cannot load {src}; set it, or give src= a URL"
        raise TopsortConfigurationError(message)
    return static(src)


def _build_nonce(request: HttpRequest, nonce: object) -> str:
    """Return the attribute that a Content Security Policy may ask for, or nothing."""
    found: Any = nonce
    if found is None or found == "":
        found = getattr(request, "csp_nonce", None)  # by django-csp
    if found is None:
        found = _get_django_nonce(request)
    # Lazy nonces are false until somebody asks for their text.
    text = "" if found is None else str(found)
    return f' nonce="{escape(text)}"' if text else ""


def _get_django_nonce(request: HttpRequest) -> object:
    """Return the nonce of Django's own middleware, where the project has it: from 6.0 on."""
    csp: Any = sys.modules.get("django.middleware.csp")
    return None if csp is None else csp.get_nonce(request)
