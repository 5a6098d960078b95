"""What delivery costs the process: CPU per event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.axes import Goal
from benchmarks.contestants import ALL
from benchmarks.delivering import LOSSES, deliver

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "CPU per delivered event"
ABOUT = (
    "User and system time of the whole process, all its threads, from the first event until all"
    " has arrived, for 20,000 events: pages of 24 with a pause of 10 ms after each, about 2,000"
    " events a second, the same for everybody, so that the queues do not run over. A first page is"
    " delivered before and not counted."
)
FIGURES = {"cpu": "CPU per event, us", **LOSSES}
CONTESTANTS = ALL
IS_WAITING = True
MOST_ROUNDS = 3
GOALS = (Goal("cpu", times=4.0, clean=("lost",)),)
EVENTS = 20_000
PAUSE = 0.01  # seconds


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    events = EVENTS // 5 if bench.is_quick else EVENTS
    delivery = deliver(contestant, bench, events, pause=PAUSE)
    return {"cpu": delivery.cost, **delivery.losses}
