"""What a client adds to the start of a Django project."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.measuring import build_pages, leave, read_memory
from benchmarks.project import build_request, configure

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.contestants import Contestant
    from benchmarks.running import Bench

TITLE = "Importing and starting"
ABOUT = """\
What is added to the start of a Django project (contenttypes, auth, sessions; `django.setup()`, the
WSGI handler with its middleware, the template engine with its tag libraries): fresh processes with
the client and without, in turn, and the difference of the fastest of each; memory and modules by
the median. Ours is an app with a middleware and a tag library, the others are imported and started
after Django as their documentation says. Compiled files are there. What Python does before its
first line, such as an editable install's import hook, is not in it. Then what the first event and
the whole first page of 24 take on the caller's thread. The browser's door (ours): what
importing its URLs takes on top, where a project includes them."""
FIGURES = {
    "wall": "ms",
    "cpu": "ms of CPU",
    "memory": "MiB",
    "modules": "modules",
    "first_event": "ms of CPU, first event",
    "first_page": "ms of CPU, first page",
    "door": "ms of CPU, the browser's door",
}
CONTESTANTS = contestants.ALL
GOALS = (Goal("cpu", limit=15.0), Goal("memory", limit=2.5))

NOBODY = "-"
TAGS = {contestants.OURS: "{% load topsort %}"}


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once: several processes with it, as many without."""
    python = bench.get_python(contestant)
    bare, full = [], []
    with bench.open_sink() as sink:
        for _ in range(3 if bench.is_quick else 7):
            bare.append(bench.run(__name__, NOBODY, sink.url, python=python))
            full.append(bench.run(__name__, contestant, sink.url, python=python))
    return compare(full, bare)


def compare(full: list[Row], bare: list[Row]) -> Row:
    """Return what those with a client have more than those without."""

    def choose(rows: list[Row], key: str, which: int) -> float | None:
        values = sorted(value for row in rows if isinstance(value := row[key], int | float))
        return values[min(which, len(values) - 1)] if values else None

    figures: Row = {}
    for key in FIGURES:
        which = len(full) // 2 if key in ("memory", "modules") else 0
        value, less = choose(full, key, which), choose(bare, key, which)
        figures[key] = None if value is None else value - (less or 0)
    return figures


def start(name: str, url: str) -> Contestant | None:
    """Start the project: with ours as its documentation says, another client after it."""
    is_ours = name == contestants.OURS
    configure(
        apps=("django_topsort",) if is_ours else (),
        middleware=("django_topsort.middleware.TopsortMiddleware",) if is_ours else (),
        TOPSORT_API_KEY="TSE_benchmark",
        TOPSORT_API_URL=url,
    )
    from django.core.handlers.wsgi import WSGIHandler
    from django.template import engines

    WSGIHandler()
    engines["django"].from_string(TAGS.get(name, ""))
    if is_ours or name == NOBODY:
        return None
    client = contestants.load(name)
    client.start(url)
    return client


def time_first_page(client: Contestant) -> tuple[float, float]:
    """Return the milliseconds of CPU of the first event, and of the first page with it."""
    bids = build_pages(1)[0]
    begun = time.thread_time()
    client.begin_page()
    client.record(bids[0], 1)
    first = time.thread_time()
    for position, bid in enumerate(bids[1:], 2):
        client.record(bid, position)
    client.end_page()
    return 1000 * (first - begun), 1000 * (time.thread_time() - begun)


def time_our_first_page() -> tuple[float, float]:
    """Return the milliseconds of CPU of the first event, and of the page, with its middleware."""
    from django.http import HttpResponse

    from django_topsort.middleware import TopsortMiddleware
    from django_topsort.tracking import track_impression

    first = 0.0
    bids = build_pages(1)[0]

    def view(request: object) -> HttpResponse:
        nonlocal first
        for position, bid in enumerate(bids, 1):
            track_impression(request, resolved_bid_id=bid, position=position)  # type: ignore[arg-type]
            first = first or time.thread_time()
        return HttpResponse()

    request = build_request()
    page = TopsortMiddleware(view)
    begun = time.thread_time()
    page(request)
    return 1000 * (first - begun), 1000 * (time.thread_time() - begun)


def time_door() -> float:
    """Return the milliseconds of CPU that the URLs of the browser's door take to import."""
    begun = time.thread_time()
    import django_topsort.urls  # noqa: F401

    return 1000 * (time.thread_time() - begun)


def main(name: str, url: str) -> None:
    """Start in this process, and say what that took and what there is now."""
    memory, modules = read_memory(), len(sys.modules)
    wall, cpu = time.perf_counter(), time.process_time()
    client = start(name, url)
    figures: Row = {
        "wall": 1000 * (time.perf_counter() - wall),
        "cpu": 1000 * (time.process_time() - cpu),
        "memory": (read_memory() - memory) / 2**20,
        "modules": len(sys.modules) - modules,
        **dict.fromkeys(("first_event", "first_page", "door")),
    }
    if name == contestants.OURS:
        figures["first_event"], figures["first_page"] = time_our_first_page()
        figures["door"] = time_door()
    elif client is not None:
        figures["first_event"], figures["first_page"] = time_first_page(client)
    leave(figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
