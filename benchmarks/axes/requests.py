"""How full requests are, and how long an event waits for others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import ALL
from benchmarks.delivering import begin, deliver

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "Requests, and how long an event waits"
ABOUT = (
    "Requests for 1,000 events that are recorded as fast as possible and flushed. Then, in another"
    " process, 101 events a second for 3 s, one by one and without a flush: the longest time from"
    " the record of an event to its arrival, in the 6 s that follow."
)
FIGURES = {"requests": "requests per 1,000 events", "waited": "longest wait, s"}
CONTESTANTS = ALL
IS_WAITING = True
MOST_ROUNDS = 3
GOALS = (Goal("requests", limit=21.0), Goal("waited", limit=0.6))
EVENTS = 1_000
RATE = 101  # no multiple of what goes into a request
SECONDS = 3
PATIENCE = 6.0  # seconds for the last of them


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    delivery = deliver(contestant, bench, EVENTS)
    requests = 1_000 * delivery.requests / delivery.arrived if delivery.arrived else None
    return {"requests": requests, "waited": measure_wait(contestant, bench)}


def measure_wait(contestant: str, bench: Bench) -> float | str:
    """Return the longest time in seconds, or a text when not all of them came."""
    seconds, patience = (1, 1.5) if bench.is_quick else (SECONDS, PATIENCE)
    with (
        bench.open_sink() as sink,
        begin(contestant, bench, sink, "trickle", RATE, seconds) as process,
    ):
        process.tell("go")
        recorded: dict[str, float] = process.hear()["recorded"]
        deadline = time.monotonic() + patience
        while True:
            arrivals = sink.find_arrivals()
            if recorded.keys() <= arrivals.keys():
                return max(arrivals[bid] - at for bid, at in recorded.items())
            if time.monotonic() > deadline:
                return f"> {patience:g}"
            time.sleep(0.25)
