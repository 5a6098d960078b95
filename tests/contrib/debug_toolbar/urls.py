"""Pages of a shop that report in all the ways that there are."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines
from django.urls import include, path

from django_topsort.attributes import build_attrs
from django_topsort.delivery import leave_out
from django_topsort.events import Click, Entity, Impression, Purchase, PurchaseItem
from django_topsort.links import build_click_url
from django_topsort.signals import order_paid
from django_topsort.tracking import (
    record,
    set_placement,
    track_click,
    track_impression,
    track_pageview,
)
from tests.shop.models import Product

LISTING = """<html><body>{% load topsort %}
{% topsort_pageview page_type="category" page_id="shoes" %}
{% topsort_placement category_ids="shoes" page=1 page_size=24 component="list" %}
{% for product in products %}
  {% topsort_impression product resolved_bid_id=bid position=forloop.counter %}
{% endfor %}
</body></html>"""
SEEN = """<html><body>{% load topsort %}
{% topsort_script page_type="category" page_id="shoes" %}
{% for product in products %}
  <a href="{% topsort_click_url "/shoes/1" product resolved_bid_id="bid-1" %}"
    {% topsort_attrs product position=forloop.counter %}>{{ product }}</a>
{% endfor %}
</body></html>"""
PLAIN_SCRIPT = "<html><body>{% load topsort %}{% topsort_script %}</body></html>"
PAGE = "<html><body>a page</body></html>"

# Those who are asked at once wait for one another, so that they are asked at once.
together = threading.Barrier(2)


def render(request: HttpRequest, text: str, **context: Any) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(text).render(context, request))


def listing(request: HttpRequest) -> HttpResponse:
    return render(request, LISTING, products=[Product(pk=1), Product(pk=2)])


def seen(request: HttpRequest) -> HttpResponse:
    return render(request, SEEN, products=["shoe-1", "shoe-2"])


def plain_script(request: HttpRequest) -> HttpResponse:
    return render(request, PLAIN_SCRIPT)


def say(request: HttpRequest) -> HttpResponse:
    """Report what the query says, as JSON: arguments of ``track_impression``."""
    for fields in json.loads(request.GET["say"]):
        if "set" in fields:
            set_placement(request, **fields["set"])
            continue
        if "vendor" in fields:
            fields["entity"] = Entity(id=fields.pop("vendor"), type="vendor")
        if "model" in fields:
            fields["product"] = Product(pk=fields.pop("model"))
        track_impression(request, **fields)
    return HttpResponse(PAGE)


def wrong(request: HttpRequest) -> HttpResponse:
    track_impression(request, "shoe-1", position=0)
    track_impression(request, "shoe-1", position=0)
    track_impression(request, "shoe-2", position=1)
    set_placement(request, colour="red")  # type: ignore[call-arg]
    track_pageview(request, "shelf")
    build_attrs(request, "shoe-1", position=-1)
    track_pageview(request, "search", value="boots")
    return HttpResponse(PAGE)


def finished(request: HttpRequest) -> HttpResponse:
    event = Click(opaque_user_id="somebody", entity=Entity(id="shoe-1", type="product"))
    record(event, request)
    return JsonResponse({"link": build_click_url(request, "/shoes/", "shoe-1")})


def pay(request: HttpRequest) -> HttpResponse:
    for number, user_id in (("1001", "the-buyer"), ("1002", None)):
        lines = [{"product": "shoe-1", "quantity": 2, "line_total": "59.90"}]
        order = {"number": number, "lines": lines}
        order_paid.send(sender=None, order=order, request=request, opaque_user_id=user_id)
    return HttpResponse(PAGE)


def buy_much(request: HttpRequest) -> HttpResponse:
    item = PurchaseItem(product_id="shoe-1", unit_price=Decimal("5.50"))
    record(Purchase(id="1003", opaque_user_id="the-buyer", items=[item] * 60), request)
    return HttpResponse(PAGE)


def flood(request: HttpRequest) -> HttpResponse:
    entity = Entity(id="shoe-1", type="product")
    clicks = [Click(opaque_user_id="somebody", entity=entity) for _ in range(3)]
    leave_out(clicks, "too_many_clicks")
    return HttpResponse(PAGE)


def many(request: HttpRequest) -> HttpResponse:
    for number in range(250):
        track_impression(request, f"shoe-{number}")
        track_click(request, f"shoe-{number}", position=1)
        build_click_url(request, "/", f"shoe-{number}")
    return HttpResponse(PAGE)


def fail(request: HttpRequest) -> HttpResponse:
    track_impression(request, "shoe-1")
    track_click(request, "shoe-1")
    raise ZeroDivisionError


def redirect(request: HttpRequest) -> HttpResponse:
    track_click(request, "shoe-1")
    return HttpResponseRedirect("/listing/")


def at_once(request: HttpRequest, name: str) -> HttpResponse:
    together.wait(20)
    track_impression(request, f"{name}-1")
    together.wait(20)
    leave_out([Impression(opaque_user_id="-", resolved_bid_id=name)], name)
    together.wait(20)
    track_impression(request, f"{name}-2")
    return HttpResponse(PAGE)


async def at_once_on_loop(request: HttpRequest, name: str) -> HttpResponse:
    for number in (1, 2):
        track_impression(request, f"{name}-{number}")
        await asyncio.sleep(0)
        leave_out([Impression(opaque_user_id="-", resolved_bid_id=name)], name)
        await asyncio.sleep(0)
    return HttpResponse(PAGE)


def stream(request: HttpRequest) -> HttpResponseBase:
    def make() -> Iterator[str]:
        for number in range(3):
            track_impression(request, f"late-{number}")
            yield "part"

    return StreamingHttpResponse(make())


async def stream_on_loop(request: HttpRequest) -> HttpResponseBase:
    async def make() -> AsyncIterator[str]:
        for number in range(3):
            track_impression(request, f"late-{number}")
            yield "part"

    return StreamingHttpResponse(make())


def send_file(request: HttpRequest) -> HttpResponseBase:
    return FileResponse(Path(__file__).open("rb"))


urlpatterns = [
    path("listing/", listing),
    path("seen/", seen),
    path("plain-script/", plain_script),
    path("say/", say),
    path("wrong/", wrong),
    path("finished/", finished),
    path("pay/", pay),
    path("buy-much/", buy_much),
    path("flood/", flood),
    path("many/", many),
    path("fail/", fail),
    path("redirect/", redirect),
    path("at-once/<str:name>", at_once),
    path("at-once-on-loop/<str:name>", at_once_on_loop),
    path("stream/", stream),
    path("stream-on-loop/", stream_on_loop),
    path("file/", send_file),
    path("<path:name>/named/", lambda request, name: listing(request)),
    path("topsort/", include("django_topsort.urls")),
    path("__debug__/", include("debug_toolbar.urls")),
]
