"""The site's URLs: pages that the tests write, the script, and two endpoints."""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

import django_topsort
from tests.browsers.site.recording import record

SCRIPT = Path(django_topsort.__file__).parent / "static/django_topsort/topsort.js"
NONCE = "bm9uY2U"
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; connect-src 'self';"
    f" script-src 'self' 'nonce-{NONCE}'; style-src 'nonce-{NONCE}'"
)

pages: dict[str, str] = {}
files: dict[str, str] = {}


def show(request: HttpRequest, address: str) -> HttpResponse:
    """Return a page that a test has written, under a strict policy."""
    found = address in pages
    response = HttpResponse(pages.get(address, "nothing here"), status=200 if found else 404)
    response["Content-Security-Policy"] = POLICY
    return response


def serve_file(request: HttpRequest, name: str) -> HttpResponse:
    """Return our script, or a file that a test has made."""
    text = SCRIPT.read_text(encoding="utf-8") if name == "topsort.js" else files[name]
    return HttpResponse(text, content_type="text/javascript")


def send_no_icon(request: HttpRequest) -> HttpResponse:
    """Keep the browser's log free of a missing icon."""
    return HttpResponse(status=204)


urlpatterns = [
    path("favicon.ico", send_no_icon),
    path("static/<str:name>", serve_file),
    path("record/<str:number>/v2/events", record),
    path("topsort/", include("django_topsort.urls")),
    path("<path:address>", show),
]
