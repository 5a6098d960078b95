"""A process is killed, and cannot do anything about it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import OURS, PEERS
from benchmarks.delivering import begin, count

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "SIGKILL"
ABOUT = "1,008 events are recorded; after 1 s without a flush the process is killed."
FIGURES = {"arrived": "arrived, %"}
CONTESTANTS = (OURS, *PEERS)  # the floor knows nothing of all this
IS_WAITING = True
MOST_ROUNDS = 3
GOALS = (Goal("arrived", limit=100.0, is_more_better=True),)
EVENTS = 1_008
SECONDS = 1.0


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    with bench.open_sink() as sink:
        with begin(contestant, bench, sink, "end", EVENTS, "signal") as process:
            process.tell("go")
            recorded = process.hear()["recorded"]
            time.sleep(max(0.0, recorded + SECONDS - time.monotonic()))
            process.signal(signal.SIGKILL)
            process.wait(5.0)
        time.sleep(0.3)  # what the sink has got it reads still
        arrived, _ = count(sink.take())
    return {"arrived": 100.0 * arrived / EVENTS}
