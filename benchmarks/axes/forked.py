"""A process forks after its client was used, as servers that load the site first do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import OURS, PEERS
from benchmarks.delivering import begin, count
from benchmarks.running import TimedOut

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "A forked process"
ABOUT = (
    "The client is used, 10 events wait in it, and the process forks. 1,008 events are recorded in"
    " the child, which flushes and ends as usual; when it has not ended after 15 s it is killed."
    " Of the 10, which the parent keeps, none may come from the child, too."
)
FIGURES = {
    "arrived": "the child's events arrived, %",
    "seconds": "seconds",
    "twice": "the parent's events that came twice",
}
CONTESTANTS = (OURS, *PEERS)  # the floor knows nothing of all this
IS_WAITING = True
MOST_ROUNDS = 3
GOALS = (Goal("arrived", limit=100.0, is_more_better=True), Goal("twice", limit=0.0))
EVENTS = 1_008
LIMIT = 15.0  # seconds
FLUSH = 10.0  # seconds


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    limit, flush = (5.0, 4.0) if bench.is_quick else (LIMIT, FLUSH)
    seconds: float | str
    with (
        bench.open_sink() as sink,
        begin(contestant, bench, sink, "fork", EVENTS, flush) as process,
    ):
        begun = time.monotonic()
        process.tell("go")
        try:
            process.hear(limit)
            seconds = time.monotonic() - begun
        except TimedOut:
            seconds = f"> {limit:g}"
        time.sleep(0.3)  # what the sink has got it reads still
        taken = sink.take()
    twice = sum(times > 1 for bid, times in taken.bids.items() if bid.startswith("bid-parent-"))
    return {"arrived": 100.0 * count(taken)[0] / EVENTS, "seconds": seconds, "twice": twice}
