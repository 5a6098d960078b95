"""Nobody answers for a while."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import OURS, PEERS
from benchmarks.delivering import LOSSES, begin, count
from benchmarks.running import TimedOut

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench
    from benchmarks.sink import Sink

TITLE = "An outage of the API"
ABOUT = (
    "The API refuses connections for 20 s, in which 200 events a second are recorded in pages of"
    " 24: the longest time that recording one page took; pages that should have come while another"
    " waited are not recorded. Then the API is back. For 10 s the client is left alone; what is not"
    " in by then is flushed; what is not in after 60 s is lost."
)
FIGURES = {
    "page": "longest page, ms",
    "back": "all in after, s",
    **LOSSES,
    "recorded": "events recorded",
    "raised": "pages that failed",
}
CONTESTANTS = (OURS, *PEERS)  # the floor knows nothing of all this
IS_WAITING = True
MOST_ROUNDS = 2
GOALS = (Goal("page", limit=20.0), Goal("lost", limit=0.0), Goal("back", limit=5.0))
RATE = 200
SECONDS = 20
ALONE = 10.0  # seconds without a flush
PATIENCE = 60.0


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    down, alone, patience = (5, 3.0, 8.0) if bench.is_quick else (SECONDS, ALONE, PATIENCE)
    with (
        bench.open_sink() as sink,
        begin(contestant, bench, sink, "outage", RATE, down) as process,
    ):
        sink.go_down()
        process.tell("go")
        time.sleep(down)
        sink.come_back()
        back = time.monotonic()
        said = process.hear(patience)
        recorded: int = said["recorded"]
        if not wait_for_all(sink, recorded, back + alone):
            process.tell(str(patience - alone))
            with suppress(TimedOut):
                process.hear(back + patience - time.monotonic())
            # A client that says that it is done has nothing more to send, but what is on its way.
            wait_for_all(sink, recorded, time.monotonic() + 1.0)
        taken, arrivals = sink.take(), sink.find_arrivals()
    arrived, repeated = count(taken)
    came = max(arrivals.values(), default=back)
    return {
        "page": 1000.0 * said["longest"],
        "back": max(0.0, came - back) if arrived >= recorded else None,
        "lost": 100.0 * (recorded - arrived) / recorded,
        "repeated": 100.0 * repeated / recorded,
        "recorded": recorded,
        "raised": said["raised"],
    }


def wait_for_all(sink: Sink, events: int, deadline: float) -> bool:
    """Wait until so many events are in, or until ``deadline``; return whether they are."""
    while count(sink.take())[0] < events:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.25)
    return True
