"""How fast a burst gets out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import ALL
from benchmarks.delivering import LOSSES, deliver

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "A burst, end to end"
ABOUT = (
    "50,000 events, recorded by one thread in pages of 24 as fast as it can, and flushed: those"
    " that arrived, by the seconds from the first record to the last arrival. What has not arrived"
    " 60 s after the flush is lost. CPU is that of the whole process, by what arrived."
)
FIGURES = {"rate": "events/s", "cpu": "CPU per event, us", **LOSSES}
CONTESTANTS = ALL
GOALS = (Goal("rate", times=4.0, is_more_better=True, clean=("lost",)),)
EVENTS = 50_000


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    delivery = deliver(contestant, bench, EVENTS // 10 if bench.is_quick else EVENTS)
    return {"rate": delivery.rate, "cpu": delivery.cost, **delivery.losses}
