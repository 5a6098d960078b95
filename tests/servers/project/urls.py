"""Pages that end in every way in which a response can end; ``?id=`` names a visit."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path

from django_topsort.events import Purchase, PurchaseItem
from django_topsort.tracking import track_click, track_impression, track_pageview, track_purchase

PRODUCTS = ["p-1", "p-2", "p-3"]
BODY = "x" * 20_000


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


def left(request: HttpRequest) -> HttpResponse:
    """Wait in the view, while the client leaves; then go on as if nothing had happened."""
    flags = Path(str(request.GET["flags"]))
    (flags / "entered").touch()
    while not (flags / "go on").exists():
        time.sleep(0.01)
    see(request)
    return HttpResponse(BODY)


urlpatterns = [
    path("silent/", silent),
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("template/", template),
    path("file/", file),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("broken-stream/", broken_stream),
    path("replaced/", replaced),
    path("error/", error),
    path("order/", order),
    path("left/", left),
]
