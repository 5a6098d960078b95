"""Whether an event costs more the more of them wait."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.child import PAGE, record_page
from benchmarks.measuring import build_pages, leave, measure_cpu, read_memory
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.contestants import Contestant
    from benchmarks.running import Bench

TITLE = "Many events that wait"
ABOUT = """\
While the service is away, 10, 1,000, 50,000 and 1,000,000 events wait in the queue, whose bounds
are raised for it. In: CPU of the calling thread by event for further pages of 24; the fastest
tenth, as whatever else the machine does is in the rest. Out: CPU of the whole process by event
delivered when the service is back, over the first 20,000 at most. Bytes: growth of the process's
memory by event that waits, where there are enough of them to tell. Each figure should be flat."""
SIZES = (10, 1_000, 50_000, 1_000_000)
FIGURES = {
    "growth": "in, most waiting / 1,000 waiting",
    **{f"in_{size}": f"us in, {size:,} waiting" for size in SIZES},
    **{f"out_{size}": f"us out, {size:,} waiting" for size in SIZES[1:]},
    **{f"bytes_{size}": f"bytes, {size:,} waiting" for size in SIZES[2:]},
}
CONTESTANTS = (contestants.OURS,)
GOALS = (Goal("growth", limit=1.5),)
MOST_ROUNDS = 3

FURTHER = 200  # pages recorded into what waits
WARM_UP = 20  # pages
BATCH = 50  # events of a request
FEW_REQUESTS, MOST_REQUESTS = 3, 400  # whose cost is taken
PATIENCE = 60.0  # seconds for the service to be noticed again, and for these requests


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once; each size in a process of its own."""
    figures: Row = dict.fromkeys(FIGURES)
    for size in SIZES:
        if size > 100_000 and bench.is_quick:
            continue
        said = bench.run(__name__, size, python=bench.ours)
        figures |= {
            name: value for key, value in said.items() if (name := f"{key}_{size}") in FIGURES
        }
    most = max(size for size in SIZES if figures[f"in_{size}"] is not None)
    figures["growth"] = float(figures[f"in_{most}"] or 0) / float(figures["in_1000"] or 0)
    return figures


def start(url: str) -> Contestant:
    """Start our client, with room for all, and let it deliver a few pages."""
    client = contestants.load(contestants.OURS)
    client.start(url)
    from django.conf import settings

    settings.TOPSORT_QUEUE_SIZE = 10 * max(SIZES)
    settings.TOPSORT_QUEUE_BYTES = 2**40
    for bids in build_pages(WARM_UP, name="warm"):
        record_page(client, bids)
    client.flush(10)
    return client


def fill(client: Contestant, count: int) -> float:
    """Record ``count`` events; return the bytes by event by which memory has grown."""
    gc.collect()
    before = read_memory()
    for first in range(0, count, PAGE):
        record_page(client, [f"bid-{n}" for n in range(first, min(first + PAGE, count))])
    gc.collect()
    return (read_memory() - before) / count


def time_delivery(client: Contestant, sink: Sink, waiting: int) -> float | None:
    """Let the service be back; return the microseconds of CPU by event delivered.

    The time of this thread, which only looks on, is not in it.
    """
    deadline = time.monotonic() + PATIENCE
    before = sink.count()
    sink.come_back()
    while (first := sink.count()) == before:
        if time.monotonic() > deadline:
            raise RuntimeError("nothing has come since the service is back")
        time.sleep(0.002)
    begun = time.process_time() - time.thread_time()
    last = min(first + MOST_REQUESTS, before + waiting // BATCH)
    while (count := sink.count()) < last and time.monotonic() < deadline:
        time.sleep(0.002)
    taken = time.process_time() - time.thread_time() - begun
    requests = count - first
    return 1e6 * taken / (requests * BATCH) if requests > FEW_REQUESTS else None


def main(size: str) -> None:
    """Let events wait in this process, and say what each has cost."""
    count = int(size)
    with Sink() as sink:
        client = start(sink.url)
        sink.go_down()
        held = fill(client, count)
        times = [
            measure_cpu(partial(record_page, client, bids)) / PAGE
            for bids in build_pages(FURTHER, name="further")
        ]
        out = time_delivery(client, sink, count)
    leave({"in": statistics.quantiles(times, n=10)[0], "out": out, "bytes": held})


if __name__ == "__main__":
    main(*sys.argv[1:])
