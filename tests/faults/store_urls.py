"""The site whose API and network misbehave: records on demand, and shows its books.

It is one process for many tests, so that ``renew`` makes it as good as new: other settings, an
empty queue, a closed circuit.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path

from django_topsort import reporting, routing
from django_topsort.accounts import accounts
from django_topsort.events import (
    Click,
    Entity,
    Event,
    Impression,
    Page,
    PageView,
    Purchase,
    PurchaseItem,
)
from django_topsort.sending import circuit
from django_topsort.signals import events_delivered, events_dropped, events_rejected
from django_topsort.tracking import record
from tests.servers.project.urls import urlpatterns as pages

USER = "shopper-1"
PRODUCT = Entity(type="product", id="p-1")
look_up = socket.getaddrinfo

delivered: list[list[str]] = []
rejected: list[list[Any]] = []
dropped: list[list[str]] = []
changed: dict[str, Any] = {}


def note_delivered(events: list[Event], **facts: Any) -> None:
    delivered.extend([event.kind, event.id] for event in events)


def note_rejected(events: list[Event], error: Any, **facts: Any) -> None:
    rejected.extend([event.kind, event.id, error.status, error.err_code] for event in events)


def note_dropped(events: list[Event], reason: str, **facts: Any) -> None:
    dropped.extend([event.kind, event.id, reason] for event in events)


events_delivered.connect(note_delivered)
events_rejected.connect(note_rejected)
events_dropped.connect(note_dropped)


def build_event(kind: str, event_id: str, items: int = 1) -> Event:
    match kind:
        case "impressions":
            return Impression(id=event_id, opaque_user_id=USER, entity=PRODUCT)
        case "clicks":
            return Click(id=event_id, opaque_user_id=USER, entity=PRODUCT)
        case "pageviews":
            return PageView(id=event_id, opaque_user_id=USER, page=Page(type="home", page_id="/"))
    item = PurchaseItem(product_id="p-1", unit_price=Decimal("9.95"), quantity=1)
    return Purchase(id=event_id, opaque_user_id=USER, items=(item,) * items)


def record_events(request: HttpRequest) -> JsonResponse:
    """Record so many events of a kind; say how many seconds that took."""
    kind, prefix = str(request.GET["kind"]), str(request.GET["prefix"])
    count, items = int(request.GET["count"]), int(request.GET["items"])
    events = [build_event(kind, f"{prefix}-{number}", items) for number in range(count)]
    begun = time.perf_counter()
    for event in events:
        record(event, request)
    return JsonResponse({"seconds": time.perf_counter() - begun})


def show_books(request: HttpRequest) -> JsonResponse:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return JsonResponse(
        {
            "counts": accounts.get_counts(),
            "delivered": delivered,
            "rejected": rejected,
            "dropped": dropped,
            "peak_kib": int(peak),
        }
    )


def change(request: HttpRequest) -> JsonResponse:
    """Set what ``?to=`` says as JSON: settings, pauses, how names are looked up."""
    wanted = json.loads(request.GET["to"])
    for name, value in wanted.get("settings", {}).items():
        changed.setdefault(name, getattr(settings, name, None))
        setattr(settings, name, value)
    for name, value in wanted.get("pauses", {}).items():
        changed.setdefault(name, getattr(circuit, name))
        setattr(circuit, name, value)
    if "names" in wanted:
        socket.getaddrinfo = LOOK_UPS[wanted["names"]]
    if "certificates" in wanted:
        import requests.adapters

        requests.adapters.DEFAULT_CA_BUNDLE_PATH = wanted["certificates"]
    return JsonResponse({})


def renew(request: HttpRequest) -> JsonResponse:
    """Forget everything, and begin again with what ``change`` is told."""
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 0
    for backend in routing._backends.values():
        backend.close()
    routing._backends.clear()
    for name, value in changed.items():
        setattr(circuit if hasattr(circuit, name) else settings, name, value)
    delattr(settings, "TOPSORT_SHUTDOWN_TIMEOUT")
    changed.clear()
    socket.getaddrinfo = look_up
    accounts._reset()
    reporting.log_limit._lines.clear()
    for one in (delivered, rejected, dropped):
        one.clear()
    return change(request)


def exhaust(request: HttpRequest) -> JsonResponse:
    """Record ``?ids=`` while no file can be opened; wait for the sender to meet that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, hard))
    try:
        while True:
            fillers.append(os.dup(0))
    except OSError:
        pass
    try:
        record(build_event("purchases", request.GET["ids"]), None)
        for number in range(100):
            record(build_event("impressions", f"{request.GET['ids']}-{number}"), None)
        said = reporting.log_limit._lines
        deadline = time.monotonic() + float(request.GET["seconds"])
        while not any(key[0] == "failed" for key in list(said)) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        for one in fillers:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    return JsonResponse({})


def fail_to_look_up(*args: Any, **options: Any) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def look_up_for_long(*args: Any, **options: Any) -> Any:
    time.sleep(60)
    return look_up(*args, **options)


def look_up_slowly(*args: Any, **options: Any) -> Any:
    time.sleep(3)
    return look_up(*args, **options)


def look_up_both(host: Any, port: Any, *args: Any, **options: Any) -> Any:
    """Say that the host has two addresses, of which the first is of IPv6."""
    stream = socket.SOCK_STREAM
    return [
        (socket.AF_INET6, stream, 6, "", ("::1", port, 0, 0)),
        (socket.AF_INET, stream, 6, "", ("127.0.0.1", port)),
    ]


LOOK_UPS: dict[str, Callable[..., Any]] = {
    "as ever": look_up,
    "fail": fail_to_look_up,
    "for long": look_up_for_long,
    "slowly": look_up_slowly,
    "both": look_up_both,
}

urlpatterns = [
    *pages,
    path("record/", record_events),
    path("books/", show_books),
    path("change/", change),
    path("renew/", renew),
    path("exhaust/", exhaust),
]
