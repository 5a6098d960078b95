"""What recording costs when many threads do it at once."""

from __future__ import annotations

import copy
import sys
import threading
import time
from typing import TYPE_CHECKING

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.child import PAGE, record_page
from benchmarks.measuring import build_pages, leave

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.contestants import Contestant
    from benchmarks.running import Bench

TITLE = "Many threads"
ABOUT = """\
1, 10 and 100 threads record the same number of pages of 24 together, into one client, as fast as
they can: CPU of these threads by event, and events recorded a second from the first page to the
last. The sink answers, and the client sends meanwhile; what is lost is not counted here."""
FIGURES = {
    "cpu_1": "us of CPU per event, 1 thread",
    "cpu_10": "us, 10 threads",
    "cpu_100": "us, 100 threads",
    "growth": "CPU, 100 threads / 1 thread",
    "rate_1": "events/s, 1 thread",
    "rate_10": "events/s, 10 threads",
    "rate_100": "events/s, 100 threads",
}
CONTESTANTS = (
    contestants.OURS,
    contestants.FLOOR,
    "snowplow",
    "sentry_logs",
    "sentry_metrics",
)
GOALS = (Goal("growth", limit=1.5),)

THREADS = (1, 10, 100)
WARM_UP = 20  # pages


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once; each number of threads in a process of its own."""
    pages = 200 if bench.is_quick else 1_000
    figures: Row = {}
    for count in THREADS:
        with bench.open_sink() as sink:
            python = bench.get_python(contestant)
            said = bench.run(__name__, contestant, sink.url, count, pages, python=python)
        figures |= {f"cpu_{count}": said["cpu"], f"rate_{count}": said["rate"]}
    figures["growth"] = float(figures["cpu_100"] or 0) / float(figures["cpu_1"] or 0)
    return figures


class Recorder(threading.Thread):
    """A thread that records pages: ``cpu`` in microseconds, ``begun`` and ``ended`` in seconds."""

    def __init__(
        self, client: Contestant, pages: list[list[str]], start: threading.Barrier
    ) -> None:
        super().__init__(daemon=True)
        # A copy has a page of its own, and the same client behind it.
        self._client = copy.copy(client)
        self._pages = pages
        self._start_line = start
        self.cpu = self.begun = self.ended = 0.0

    def run(self) -> None:
        """Record the pages as soon as all threads are there."""
        self._start_line.wait()
        self.begun, cpu = time.perf_counter(), time.thread_time_ns()
        for bids in self._pages:
            record_page(self._client, bids)
        self.cpu = (time.thread_time_ns() - cpu) / 1000
        self.ended = time.perf_counter()


def main(name: str, url: str, threads: str, pages: str) -> None:
    """Record in this process, and say what it took."""
    client = contestants.load(name)
    client.start(url)
    for bids in build_pages(WARM_UP, name="warm"):
        record_page(client, bids)
    client.flush(10)
    count = int(threads)
    each = max(1, int(pages) // count)
    barrier = threading.Barrier(count)
    recorders = [
        Recorder(client, build_pages(each, name=f"bid-{number}"), barrier)
        for number in range(count)
    ]
    for one in recorders:
        one.start()
    for one in recorders:
        one.join()
    events = count * each * PAGE
    seconds = max(one.ended for one in recorders) - min(one.begun for one in recorders)
    leave({"cpu": sum(one.cpu for one in recorders) / events, "rate": events / seconds})


if __name__ == "__main__":
    main(*sys.argv[1:])
