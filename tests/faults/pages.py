"""The pages of the shops in which faults are shown."""

from __future__ import annotations

import resource

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from django_topsort.accounts import accounts
from django_topsort.tracking import track_impression


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


urlpatterns = [
    path("silent/", silent),
    path("crowd/", crowd),
    path("accounts/", get_accounts),
    path("topsort/", include("django_topsort.urls")),
]
