"""Pages of a shop that record events, for the tests of the middleware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from io import BytesIO
from typing import Any

from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path

from django_topsort.backends.base import BaseEventBackend
from django_topsort.backends.locmem import outbox
from django_topsort.events import Event, Purchase, PurchaseItem
from django_topsort.tracking import record, track_click, track_impression, track_pageview

TEMPLATE = "{% load topsort %}{% topsort_impression 'late' %}{% topsort_pageview %}late"


class BlockingBackend(BaseEventBackend):
    """Keeps events as locmem does, and says that it may wait."""

    blocking = True
    production = False

    def send_events(self, events: Sequence[Event]) -> None:
        outbox.extend(events)
        self.report.delivered(events)


class RaisingBackend(BaseEventBackend):
    """A backend with a fault."""

    production = False

    def send_events(self, events: Sequence[Event]) -> None:
        raise ZeroDivisionError


def record_all(request: HttpRequest) -> None:
    """Record one event of each kind."""
    track_impression(request, "shoe-1")
    track_click(request, "shoe-1")
    track_pageview(request)
    items = [PurchaseItem(product_id="shoe-1", unit_price=5)]  # type: ignore[arg-type]
    record(Purchase(id="1001", opaque_user_id="buyer", items=items), request)


def show_plain(request: HttpRequest) -> HttpResponse:
    record_all(request)
    return HttpResponse(f"held {len(request.topsort)}")  # type: ignore[attr-defined]


def show_nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing")


def show_late(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string(TEMPLATE))


def show_file(request: HttpRequest) -> FileResponse:
    track_pageview(request)
    return FileResponse(BytesIO(b"file"))


def write(request: HttpRequest) -> Iterator[str]:
    for number in range(1, 4):
        track_impression(request, f"shoe-{number}")
        yield f"{number}{len(outbox)} "
        if "fail" in request.GET and number == 2:
            raise ZeroDivisionError


async def write_async(request: HttpRequest) -> AsyncIterator[str]:
    for line in write(request):
        yield line


def show_stream(request: HttpRequest) -> StreamingHttpResponse:
    track_pageview(request)
    return StreamingHttpResponse(write(request))


async def show_async_stream(request: HttpRequest) -> StreamingHttpResponse:
    track_pageview(request)
    return StreamingHttpResponse(write_async(request))


def fail(request: HttpRequest) -> HttpResponse:
    record_all(request)
    raise ZeroDivisionError


def answer_503(request: HttpRequest) -> HttpResponse:
    record_all(request)
    return HttpResponse("down", status=503)


def lose(request: HttpRequest) -> HttpResponse:
    record_all(request)
    raise Http404


async def show_async(request: HttpRequest) -> HttpResponse:
    record_all(request)
    return HttpResponse(f"held {len(request.topsort)}")  # type: ignore[attr-defined]


async def wait_async(request: HttpRequest) -> HttpResponse:
    """Wait for longer than the client does."""
    record_all(request)
    return HttpResponse(await asyncio.sleep(60, "late"))


def wait_for_client_to_leave(request: Any) -> HttpResponse:
    """Go on when the client has left, and record more."""
    record_all(request)
    request.scope["view_runs"].set()
    assert request.scope["client_left"].wait(10)
    record_all(request)
    request.scope["view_ended"].set()
    return HttpResponse("nobody reads this")


urlpatterns = [
    path("plain/", show_plain),
    path("nothing/", show_nothing),
    path("late/", show_late),
    path("file/", show_file),
    path("stream/", show_stream),
    path("async-stream/", show_async_stream),
    path("fail/", fail),
    path("503/", answer_503),
    path("404/", lose),
    path("async/", show_async),
    path("wait-async/", wait_async),
    path("wait/", wait_for_client_to_leave),
]


class ShortCircuit:
    """A middleware that answers by itself where ?stop is given, and may track something."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "early" in request.GET:
            track_pageview(request)
        if "stop" in request.GET:
            return HttpResponse("stopped")
        response: HttpResponseBase = self.get_response(request)
        if "replace" in request.GET:
            return HttpResponse("replaced")
        if "break" in request.GET:
            raise ZeroDivisionError
        return response
