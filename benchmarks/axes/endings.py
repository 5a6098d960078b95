"""A process ends while events wait."""

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

TITLE = "The end of a process"
ABOUT = (
    "1,008 events are recorded and the process ends at once: as a script does that is done, or by"
    " SIGTERM, whose handler raises SystemExit. How many of them arrived, and how long the process"
    " took to end; it is killed after 30 s."
)
FIGURES = {
    "exit": "arrived at a normal exit, %",
    "exit_seconds": "seconds",
    "sigterm": "arrived at SIGTERM, %",
    "sigterm_seconds": "seconds",
}
CONTESTANTS = (OURS, *PEERS)  # the floor knows nothing of all this
IS_WAITING = True
MOST_ROUNDS = 3
GOALS = (
    Goal("exit", limit=100.0, is_more_better=True),
    Goal("sigterm", limit=100.0, is_more_better=True),
)
EVENTS = 1_008
LIMIT = 30.0  # seconds


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    at_exit, exit_seconds = measure_end(contestant, bench, "exit")
    at_sigterm, sigterm_seconds = measure_end(contestant, bench, "signal")
    return {
        "exit": at_exit,
        "exit_seconds": exit_seconds,
        "sigterm": at_sigterm,
        "sigterm_seconds": sigterm_seconds,
    }


def measure_end(contestant: str, bench: Bench, how: str) -> tuple[float, float | str]:
    """Return how many per cent arrived, and the seconds from the last record to the end."""
    limit = 10.0 if bench.is_quick else LIMIT
    with bench.open_sink() as sink:
        with begin(contestant, bench, sink, "end", EVENTS, how) as process:
            process.tell("go")
            recorded = process.hear()["recorded"]
            if how == "signal":
                process.signal(signal.SIGTERM)
            has_ended = process.wait(limit)
            seconds = time.monotonic() - recorded
        time.sleep(0.3)  # what the sink has got it reads still
        arrived, _ = count(sink.take())
    return 100.0 * arrived / EVENTS, seconds if has_ended else f"> {limit:g}"
