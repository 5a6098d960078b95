"""How fast events get out to an API that takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import ALL
from benchmarks.delivering import deliver

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "Slow answers"
ABOUT = (
    "As the burst, but each answer takes 30 ms (10,000 events) or 150 ms (2,000 events). Topsort"
    " takes 50 events a request; the services of the others take 100 or 1,000 of them."
)
FIGURES = {
    "rate_30": "events/s at 30 ms",
    "lost_30": "lost, %",
    "rate_150": "events/s at 150 ms",
    "lost_150": "lost, %",
}
CONTESTANTS = ALL
IS_WAITING = True
MOST_ROUNDS = 3
GOALS = (Goal("rate_30", times=1.0, is_more_better=True, clean=("lost_30",)),)
EVENTS = {30: 10_000, 150: 2_000}


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    row: Row = {}
    for milliseconds, events in EVENTS.items():
        few = events // 10 if bench.is_quick else events
        delivery = deliver(contestant, bench, few, delay=milliseconds / 1000)
        row[f"rate_{milliseconds}"] = delivery.rate
        row[f"lost_{milliseconds}"] = delivery.losses["lost"]
    return row
