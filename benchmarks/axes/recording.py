"""What a page pays for its events: the time of the thread that records them."""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.child import PAGE, record_page
from benchmarks.measuring import build_pages, leave, measure_cpu

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.contestants import Contestant
    from benchmarks.running import Bench

TITLE = "Recording an event"
ABOUT = """\
CPU of the calling thread for a page of 24 sponsored impressions, from its begin to the hand-over,
by event. Warm: the median page, and the mean of all pages, which also has what a client does only
now and then, such as sending on the caller's thread. Paced: the median page of those that come
after a pause of 10 ms each, in which the processor turns to other things, as on most sites. First
page: that of a process, after the client was started. The sink answers; after every 20 pages all
is delivered, outside of the figures, so that no queue is full. Organic: for a model's instance,
without a bid."""
FIGURES = {
    "hot": "us per event, warm",
    "mean": "us per event, mean",
    "paced": "us per event, paced",
    "cold": "us per event, first page",
    "organic": "us per event, warm, organic",
}
CONTESTANTS = contestants.ALL
GOALS = (Goal("mean", times=5.0),)

WARM_UP = 20  # pages
PAUSE = 0.01  # seconds
BETWEEN_FLUSHES = 20  # pages; sentry holds 1,000 events


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    pages = 100 if bench.is_quick else 400
    with bench.open_sink() as sink:
        python = bench.get_python(contestant)
        return bench.run(__name__, contestant, sink.url, pages, python=python)


def time_pages(client: Contestant, count: int, name: str, pause: float = 0.0) -> list[float]:
    """Record ``count`` pages, ``pause`` seconds apart; return the microseconds by event of each."""
    times = []
    for number, bids in enumerate(build_pages(count, name=name), 1):
        if pause:
            time.sleep(pause)
        times.append(measure_cpu(partial(record_page, client, bids)) / PAGE)
        if number % BETWEEN_FLUSHES == 0:
            client.flush(10)
    return times


def time_organic(count: int) -> list[float]:
    """Show a model's instances on ``count`` pages of ours; return the microseconds by event."""
    from django.db import models
    from django.http import HttpResponse

    from benchmarks.project import build_request
    from django_topsort.middleware import TopsortMiddleware
    from django_topsort.tracking import track_impression

    class Product(models.Model):
        class Meta:
            app_label = "benchmarks"

        def __str__(self) -> str:
            return f"shoe {self.pk}"

    products = [Product(pk=number) for number in range(1, PAGE + 1)]

    def show(request: object) -> HttpResponse:
        for position, product in enumerate(products, 1):
            track_impression(request, product, position=position)  # type: ignore[arg-type]
        return HttpResponse()

    page = TopsortMiddleware(show)
    requests = [build_request() for _ in range(count)]
    return [measure_cpu(partial(page, one)) / PAGE for one in requests]


def main(name: str, url: str, pages: str) -> None:
    """Record in this process, and say what it took."""
    client = contestants.load(name)
    client.start(url)
    cold = time_pages(client, 1, "cold")
    time_pages(client, WARM_UP, "warm")
    times = time_pages(client, int(pages), "bid")
    paced = time_pages(client, max(1, int(pages) // 4), "paced", PAUSE)
    organic = time_organic(int(pages))[WARM_UP:] if name == contestants.OURS else []
    client.flush(10)
    figures = {
        "hot": statistics.median(times),
        "mean": statistics.fmean(times),
        "paced": statistics.median(paced),
        "cold": cold[0],
        "organic": statistics.median(organic) if organic else None,
    }
    leave(figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
