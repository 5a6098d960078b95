"""The pages of the shops in which faults are shown."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def silent(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


urlpatterns = [
    path("silent/", silent),
    path("topsort/", include("django_topsort.urls")),
]
