"""The pages of the shops in which faults are shown."""

from __future__ import annotations

import resource

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from django_topsort.accounts import accounts
from django_topsort.backends.connections import get_client, post_body
from django_topsort.client import TopsortClient
from django_topsort.conf import topsort_settings
from django_topsort.delivery import deliver
from django_topsort.links import build_click_url
from django_topsort.tracking import track_impression
from tests.sending.engine import build_event


def silent(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def crowd(request: HttpRequest) -> JsonResponse:
    """Show as many products as nobody should on one page."""
    count = int(request.GET["count"])
    for number in range(count):
        track_impression(request, f"p-{number}")
    return JsonResponse({"count": count})


def get_accounts(request: HttpRequest) -> JsonResponse:
    """Say what became of all events, and how many MiB this process has had at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return JsonResponse({"counts": accounts.get_counts(), "peak": peak})


def link(request: HttpRequest) -> HttpResponse:
    """Print a click link to wherever the request wants it to lead, as no shop should."""
    return HttpResponse(build_click_url(request, request.GET["to"], "p-1"))


def crash(request: HttpRequest, where: str) -> HttpResponse:
    """Fail somewhere in the package, with whatever it has at hand in the frames."""
    key, client = topsort_settings.get_api_key(), get_client()
    match where:
        case "client":
            client.post_events(b"{}")
        case "post":
            post_body(b"{}", 1.0)
        case "deliver":
            deliver([build_event()])
        case "key":
            TopsortClient(client.api_url, f"{key} {key}")
        case "event":
            track_impression(request, "p-1", position=0)
    raise RuntimeError(where)


urlpatterns = [
    path("link/", link),
    path("crash/<str:where>/", crash),
    path("silent/", silent),
    path("crowd/", crowd),
    path("accounts/", get_accounts),
    path("topsort/", include("django_topsort.urls")),
]
