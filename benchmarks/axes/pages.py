"""Whether an event of a large page costs more than one of a small page."""

from __future__ import annotations

import statistics
import sys
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import contestants
from benchmarks.child import record_page
from benchmarks.measuring import build_pages, leave, measure_cpu

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.contestants import Contestant
    from benchmarks.running import Bench

TITLE = "Small and large pages"
ABOUT = """\
CPU of the calling thread by event, for pages of 1, 10, 100 and 1,000 events: what a page costs by
itself is spread over its events, and after that the figure should be flat. Warm, the median page;
after every 1,000 events all is delivered, outside of the figures."""
FIGURES = {
    "1": "us per event, page of 1",
    "10": "us, page of 10",
    "100": "us, page of 100",
    "1000": "us, page of 1,000",
}
CONTESTANTS = (contestants.OURS, contestants.FLOOR)

BETWEEN_FLUSHES = 1_000  # events
PAGES = {1: 2_000, 10: 500, 100: 100, 1_000: 20}  # how many pages, by size


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    with bench.open_sink() as sink:
        python = bench.get_python(contestant)
        return bench.run(__name__, contestant, sink.url, 4 if bench.is_quick else 1, python=python)


def time_pages(client: Contestant, count: int, size: int) -> float:
    """Record ``count`` pages of ``size`` events; return the microseconds by event, the median."""
    times = []
    for number, bids in enumerate(build_pages(count, size), 1):
        times.append(measure_cpu(partial(record_page, client, bids)) / size)
        if number * size % BETWEEN_FLUSHES == 0:
            client.flush(10)
    client.flush(10)
    return statistics.median(times)


def main(name: str, url: str, part: str) -> None:
    """Record in this process a ``part``-th of the pages, and say what they took."""
    client = contestants.load(name)
    client.start(url)
    time_pages(client, 20, 24)
    counts = {size: max(1, count // int(part)) for size, count in PAGES.items()}
    leave({str(size): time_pages(client, count, size) for size, count in counts.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
