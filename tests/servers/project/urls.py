"""Pages that end in every way in which a response can end; ``?id=`` names a visit."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

from django.db import connection, transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path

from django_topsort.delivery import flushing
from django_topsort.events import Purchase, PurchaseItem
from django_topsort.tracking import track_click, track_impression, track_pageview, track_purchase
from tests.faults.recording import record_order
from tests.servers.project import ledger  # noqa: F401  # connects itself

PRODUCTS = ["p-1", "p-2", "p-3"]
BODY = "x" * 20_000
# More than the sockets and the server hold, so that a client can leave before all of it is sent.
CHUNK = b"x" * 64_000
CHUNKS = 800


def see(request: HttpRequest) -> str:
    """Report a page view and three impressions, and return the visit's id."""
    visit = str(request.GET.get("id", "-"))
    track_pageview(request, "category", page_id=visit)
    for position, product in enumerate(PRODUCTS, start=1):
        track_impression(request, product, position=position)
    return visit


def silent(request: HttpRequest) -> HttpResponse:
    return HttpResponse(BODY)


def plain(request: HttpRequest) -> HttpResponse:
    see(request)
    return HttpResponse(BODY)


async def plain_async(request: HttpRequest) -> HttpResponse:
    see(request)
    return HttpResponse(BODY)


def template(request: HttpRequest) -> TemplateResponse:
    context = {"products": PRODUCTS, "page_id": request.GET.get("id")}
    return TemplateResponse(request, "list.html", context)


def file(request: HttpRequest) -> FileResponse:
    see(request)
    return FileResponse(Path(__file__).open("rb"))


def file_in_memory(request: HttpRequest) -> FileResponse:
    see(request)
    return FileResponse(io.BytesIO(BODY.encode()), filename="list.txt")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def rows() -> Iterator[str]:
        see(request)
        for _ in range(5):
            yield BODY

    return StreamingHttpResponse(rows())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def rows() -> AsyncIterator[str]:
        see(request)
        for _ in range(5):
            yield BODY

    return StreamingHttpResponse(rows())


def broken_stream(request: HttpRequest) -> StreamingHttpResponse:
    def rows() -> Iterator[str]:
        see(request)
        yield BODY
        raise RuntimeError("the row cannot be read")

    return StreamingHttpResponse(rows())


async def broken_stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def rows() -> AsyncIterator[str]:
        see(request)
        yield BODY
        raise RuntimeError("the row cannot be read")

    return StreamingHttpResponse(rows())


def long(request: HttpRequest) -> HttpResponse:
    see(request)
    return HttpResponse(CHUNK * CHUNKS)


def long_stream(request: HttpRequest) -> StreamingHttpResponse:
    def rows() -> Iterator[bytes]:
        visit = see(request)
        try:
            for _ in range(CHUNKS):
                yield CHUNK
        finally:
            track_click(request, f"clicked-{visit}")

    return StreamingHttpResponse(rows())


async def long_stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def rows() -> AsyncIterator[bytes]:
        visit = see(request)
        try:
            for _ in range(CHUNKS):
                yield CHUNK
        finally:
            track_click(request, f"clicked-{visit}")

    return StreamingHttpResponse(rows())


def missing(request: HttpRequest) -> HttpResponse:
    see(request)
    raise Http404


def replaced(request: HttpRequest) -> HttpResponse:
    """With If-None-Match, ConditionalGetMiddleware answers a 304 in place of this response."""
    see(request)
    return HttpResponse(BODY, headers={"ETag": '"same"'})


def error(request: HttpRequest) -> HttpResponseBase:
    visit = see(request)
    track_click(request, f"clicked-{visit}")
    raise RuntimeError("the page cannot be made")


def order(request: HttpRequest) -> HttpResponse:
    visit = str(request.GET["id"])
    item = PurchaseItem(product_id="p-1", unit_price=Decimal("9.95"), quantity=1)
    track_purchase(Purchase(id=visit, opaque_user_id="u-1", items=(item,)), request)
    return HttpResponse("thank you")


def paid(request: HttpRequest) -> HttpResponse:
    """Use the database as a shop does: the purchase goes out when the order is committed."""
    with transaction.atomic():
        connection.introspection.table_names()
        return order(request)


def late_query(request: HttpRequest) -> HttpResponse:
    """What this package must not do: use the database when the request is over."""
    response = order(request)
    close = response.close

    def close_and_query() -> None:
        close()
        connection.introspection.table_names()

    response.close = close_and_query  # type: ignore[method-assign]
    return response


def left(request: HttpRequest) -> HttpResponse:
    """Wait in the view, while the client leaves; then go on as if nothing had happened."""
    flags = Path(str(request.GET["flags"]))
    visit = see(request)
    (flags / "entered").touch()
    try:
        while not (flags / "go on").exists():
            time.sleep(0.01)
        track_click(request, f"clicked-{visit}")
    finally:
        (flags / "ended").touch()
    return HttpResponse(BODY)


async def left_async(request: HttpRequest) -> HttpResponse:
    flags = Path(str(request.GET["flags"]))
    visit = see(request)
    (flags / "entered").touch()
    try:
        while not (flags / "go on").exists():  # noqa: ASYNC110  # a file says it
            await asyncio.sleep(0.01)
        track_click(request, f"clicked-{visit}")
    finally:
        (flags / "ended").touch()
    return HttpResponse(BODY)


def fork(request: HttpRequest) -> HttpResponse:
    """Let a child report an order, as a view does that starts a job in a process of its own."""
    visit = str(request.GET["id"])
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return order(request)
    with flushing(10):
        record_order(f"child-of-{visit}")
    os._exit(0)


def stall(request: HttpRequest) -> HttpResponse:
    """Take longer than a server allows, with an order in memory."""
    record_order(str(request.GET["id"]))
    time.sleep(60)
    return HttpResponse("late")


urlpatterns = [
    path("silent/", silent),
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("template/", template),
    path("file/", file),
    path("file-in-memory/", file_in_memory),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("broken-stream/", broken_stream),
    path("broken-stream-async/", broken_stream_async),
    path("long/", long),
    path("long-stream/", long_stream),
    path("long-stream-async/", long_stream_async),
    path("missing/", missing),
    path("replaced/", replaced),
    path("error/", error),
    path("order/", order),
    path("paid/", paid),
    path("late-query/", late_query),
    path("fork/", fork),
    path("stall/", stall),
    path("left/", left),
    path("left-async/", left_async),
]
