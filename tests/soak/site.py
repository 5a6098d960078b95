"""The site of a soak: pages, clicks and orders as a shop has them, and its books."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from django_topsort.accounts import accounts
from django_topsort.signals import events_rejected, order_paid
from django_topsort.tracking import track_click
from tests.servers.project.urls import urlpatterns as pages

rejected: list[str] = []


def note_rejected(events: Any, **facts: Any) -> None:
    rejected.extend(event.id for event in events if event.kind == "purchases")


events_rejected.connect(note_rejected)


def click(request: HttpRequest) -> HttpResponse:
    track_click(request, "p-1")
    return HttpResponse("in the basket")


@transaction.atomic
def pay(request: HttpRequest) -> HttpResponse:
    line = {"product": "p-1", "quantity": 2, "line_total": "59.80"}
    order = {"number": request.GET["id"], "lines": [line]}
    order_paid.send(sender=None, order=order, request=request)
    return HttpResponse("thank you")


def show_books(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"counts": accounts.get_counts(), "rejected": rejected})


urlpatterns = [
    *pages,
    path("click/", click),
    path("pay/", pay),
    path("books/", show_books),
]
