"""What the middleware adds to a page that records nothing."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.measuring import leave
from benchmarks.project import build_request, configure

if TYPE_CHECKING:
    from django.http import HttpRequest

    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "The middleware of a page that records nothing"
ABOUT = """\
CPU that one middleware adds to a request: the chain of the middleware and an empty view, less the
view alone, in turn and by batches of 500 requests, the median batch. The making of the request is
in both, and so is what is freed, or left to the garbage collection, at its end. Sync: a sync view;
async: an async one, awaited on an event loop. The floor is a middleware that only calls the view.
django-htmx and django-cors-headers stand for small and for usual middleware."""
FIGURES = {"sync": "us a request, sync", "async": "us a request, async"}
CONTESTANTS = (contestants.OURS, contestants.FLOOR, "django_htmx", "cors_headers")
GOALS = (Goal("sync", limit=3.0), Goal("async", limit=3.0))
REQUIREMENTS = ("django-htmx", "django-cors-headers")

PATHS = {
    contestants.OURS: "django_topsort.middleware.TopsortMiddleware",
    contestants.FLOOR: "benchmarks.empty_middleware.pass_on",
    "django_htmx": "django_htmx.middleware.HtmxMiddleware",
    "cors_headers": "corsheaders.middleware.CorsMiddleware",
}
APPS = {
    contestants.OURS: "django_topsort",
    "django_htmx": "django_htmx",
    "cors_headers": "corsheaders",
}
BATCH = 500

Time = Callable[[Any], float]


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    batches = 20 if bench.is_quick else 60
    return bench.run(__name__, contestant, batches, python=bench.get_python(contestant))


def time_sync(chain: Callable[[HttpRequest], object]) -> float:
    """Return the microseconds that a request takes through ``chain``, its making included."""
    begun = time.thread_time_ns()
    for _ in range(BATCH):
        chain(build_request())
    return (time.thread_time_ns() - begun) / 1000 / BATCH


def time_async(chain: Callable[[HttpRequest], Any]) -> float:
    """Return the microseconds that a request takes through ``chain``, awaited on an event loop."""

    async def await_all() -> float:
        begun = time.thread_time_ns()
        for _ in range(BATCH):
            await chain(build_request())
        return (time.thread_time_ns() - begun) / 1000 / BATCH

    return asyncio.run(await_all())


def compare(chain: Any, view: Any, time_batch: Time, batches: int) -> float:
    """Return the microseconds that a request takes longer through ``chain`` than to ``view``."""
    return statistics.median(time_batch(chain) - time_batch(view) for _ in range(batches))


def main(name: str, batches: str) -> None:
    """Answer requests in this process, and say what the middleware adds."""
    configure(apps=(APPS[name],) if name in APPS else (), TOPSORT_API_KEY="TSE_benchmark")
    from django.http import HttpResponse
    from django.utils.module_loading import import_string

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    async def async_view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    middleware = import_string(PATHS[name])
    count = int(batches)
    compare(middleware(view), view, time_sync, 2)  # what only the first requests pay for
    figures = {
        "sync": compare(middleware(view), view, time_sync, count),
        "async": compare(middleware(async_view), async_view, time_async, count),
    }
    leave(figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
