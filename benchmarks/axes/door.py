"""What the endpoint to which browsers post costs the server."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.child import PAGE
from benchmarks.doors import BUILDERS
from benchmarks.measuring import leave
from benchmarks.project import build_request, configure

if TYPE_CHECKING:
    from django.http import HttpRequest

    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "The browser's door"
ABOUT = """\
CPU of one POST of 24 impressions, from the view's call to its answer, the reading and the checking
of the body included; the median request. Ours: our view within our middleware, up to the hand-over
of the events to a backend that keeps them, with everything that it does besides (throttles, the
shopper's cookie, leaving out duplicates); also without the middleware around it. The others check
the same body and do nothing with it: nested serializers in a view of REST framework without
authentication, pydantic models in a bare view, msgspec in a bare view. The cache is LocMemCache,
with room for all. Every event has an id, and a bid, of its own; a shopper makes 50 requests. All
requests are answered 204, and all events are in the backend. The ratio is that of
nested serializers to this: in one process, 50 requests to the one and then to the other."""
FIGURES = {
    "organic": "us a request, organic",
    "rate": "requests/s, organic",
    "sponsored": "us a request, sponsored",
    "bare": "us a request, organic, no middleware",
    "ratio": "nested serializers / this, organic",
}
CONTESTANTS = (contestants.OURS, *BUILDERS)
GOALS = (Goal("ratio", limit=6.0, is_more_better=True),)
REQUIREMENTS = ("djangorestframework", "pydantic")

SERIALIZERS = "drf_serializers"
PATH = "/topsort/v2/events"
OF_A_SHOPPER = 50  # requests
IN_TURN, WARM_UP = 50, 10  # requests

Door = Callable[[Any], Any]


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    requests = 100 if bench.is_quick else 400
    return bench.run(__name__, contestant, requests, python=bench.get_python(contestant))


def build_body(is_sponsored: bool) -> bytes:
    """Return a body as our script posts it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    events: list[dict[str, object]] = []
    for position in range(1, PAGE + 1):
        event = str(uuid4())
        subject: dict[str, object] = {"entity": {"type": "product", "id": f"shoe-{position}"}}
        if is_sponsored:
            subject = {"resolvedBidId": f"bid-{event}"}
        placement = {"path": "/shoes/", "position": position, "page": 1}
        events.append({"id": event, "occurredAt": now, **subject, "placement": placement})
    return json.dumps({"impressions": events}).encode()


def build_post(number: int, name: str, is_sponsored: bool) -> HttpRequest:
    """Return the request of a shopper's browser, from an address of the shopper's own."""
    shopper = number // OF_A_SHOPPER
    return build_request(
        PATH,
        build_body(is_sponsored),
        f"{name}-{shopper}",
        REMOTE_ADDR=f"10.0.{shopper // 250}.{shopper % 250 + 1}",
        HTTP_ORIGIN="http://shop.example",
        HTTP_REFERER="http://shop.example/shoes/",
        HTTP_SEC_FETCH_SITE="same-origin",
    )


def post(door: Door, number: int, name: str, is_sponsored: bool) -> float:
    """Post to a door; return the microseconds that it took."""
    request = build_post(number, name, is_sponsored)
    begun = time.thread_time_ns()
    answer = door(request)
    taken = (time.thread_time_ns() - begun) / 1000
    if answer.status_code != 204:
        raise RuntimeError(f"{name}: {answer.status_code}: {answer.content}")
    return taken


def time_posts(doors: Sequence[Door], count: int, name: str, is_sponsored: bool) -> list[float]:
    """Post to the doors in turn; return the microseconds of the median request to each.

    ``count`` times to each, and as often again as it takes to be warm.
    """
    times: list[list[float]] = [[] for _ in doors]
    for first in range(0, count, IN_TURN):
        for door, taken in zip(doors, times, strict=True):
            numbers = range(first, first + IN_TURN)
            for number in numbers[:WARM_UP]:
                post(door, number, name, is_sponsored)
            taken += [post(door, number, name, is_sponsored) for number in numbers]
    return [statistics.median(taken) for taken in times]


def build_ours() -> tuple[Door, Door]:
    """Return our view, and our view within our middleware."""
    from django_topsort.middleware import TopsortMiddleware
    from django_topsort.rest_framework.views import EventsView

    view: Any = EventsView.as_view()
    return view, TopsortMiddleware(view)


def check_events(expected: int) -> None:
    """Raise unless the backend has got as many events of ours as were posted."""
    from django_topsort.backends.locmem import outbox

    if len(outbox) != expected:
        raise RuntimeError(f"of {expected} events {len(outbox)} have come")
    outbox.clear()


def main(name: str, requests: str) -> None:
    """Post to a view in this process, and say what it took."""
    count = int(requests)
    cache = {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    }
    is_ours = name == contestants.OURS
    configure(
        apps=("django_topsort",) if is_ours else (),
        CACHES={"default": cache},
        TOPSORT_API_KEY="TSE_benchmark",
        TOPSORT_BACKENDS={"default": "django_topsort.backends.locmem.EventBackend"},
    )
    serializers = BUILDERS[SERIALIZERS]()
    view, door = build_ours() if is_ours else (BUILDERS[name](),) * 2
    figures: Row = dict.fromkeys(FIGURES)
    organic, others = time_posts((door, serializers), count, "organic", False)
    figures |= {"organic": organic, "rate": 1e6 / organic, "ratio": others / organic}
    (figures["sponsored"],) = time_posts((door,), count, "sponsored", True)
    if is_ours:
        (figures["bare"],) = time_posts((view,), count, "bare", False)
        turns = -(-count // IN_TURN)
        check_events(3 * turns * (WARM_UP + IN_TURN) * PAGE)
    leave(figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
