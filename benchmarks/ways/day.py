"""``python -m benchmarks.ways.day``: a marketplace's day on paper, second by second.

Events come by the hour as shoppers do; something carries so many of them a second, and nothing
while Topsort is away. What is not carried piles up, and is carried later.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.tables import format_number

DAY = 24 * 60 * 60
QUIET_HOUR = 5  # when the fewest shoppers are awake
BURST_SECONDS = 60  # each hour has a minute as busy as the day's busiest, such as after a campaign
JSON_BYTES = 330  # of an impression with its placement, as it waits at a broker or in a table
MEMORY_BYTES = 480  # of one that waits in a process: see the benchmark's memory axis
QUEUE_SIZE = 50_000  # events that a process holds: TOPSORT_QUEUE_SIZE


@dataclass(frozen=True)
class Day:
    """What comes in a day, and what carries it.

    ``events``: of the whole day. ``peak``: how many times the average the busiest minutes have.
    ``carried``: events a second. ``outage``: seconds without Topsort, which begin in the day's
    second ``outage_at``.
    """

    events: float
    peak: float
    carried: float
    outage: float = 0.0
    outage_at: float = 20 * 3600.0

    def get_rate(self, second: int) -> float:
        """Return the events that come in a second of the day."""
        average = self.events / DAY
        if second % 3600 < BURST_SECONDS:
            return average * self.peak
        wave = -math.cos((second / 3600 - QUIET_HOUR) / 24 * 2 * math.pi)
        # So that the day has its events although each hour has its busy minute.
        share = BURST_SECONDS / 3600
        rest = (1 - self.peak * share) / (1 - share)
        return average * rest * (1 + 0.8 * wave)

    def is_away(self, second: int) -> bool:
        """Whether Topsort is away in a second of the day."""
        return self.outage_at <= second < self.outage_at + self.outage


@dataclass
class Ledger:
    """What became of a day.

    ``backlog``: the most events that waited at a time. ``wait``: the longest that one did, in
    seconds, and ``caught_up`` the seconds after the outage until no more waited than came.
    ``left``: what waits when the day ends.
    """

    came: float = 0.0
    carried: float = 0.0
    backlog: float = 0.0
    wait: float = 0.0
    caught_up: float = 0.0
    left: float = 0.0


def simulate(day: Day) -> Ledger:
    """Go through a day."""
    ledger = Ledger()
    waiting = 0.0
    end = day.outage_at + day.outage
    for second in range(DAY):
        coming = day.get_rate(second)
        ledger.came += coming
        waiting += coming
        done = 0.0 if day.is_away(second) else min(waiting, day.carried)
        waiting -= done
        ledger.carried += done
        ledger.backlog = max(ledger.backlog, waiting)
        if day.outage and second >= end and not ledger.caught_up and waiting < coming:
            ledger.caught_up = second - end + 1
    ledger.left = waiting
    ledger.wait = day.outage + ledger.backlog / day.carried
    return ledger


def build_rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Yield what a day is with so many workers, row by row."""
    for workers in options.workers:
        carried = workers * options.page_size / options.answer
        ledger = simulate(Day(options.events, options.peak, carried, options.outage))
        yield (
            str(workers),
            format_number(carried),
            format_number(round(ledger.backlog)),
            format_number(ledger.backlog * JSON_BYTES / 1024**2),
            format_number(ledger.caught_up) if ledger.caught_up else "not that day",
            format_number(round(ledger.left)),
        )


def main() -> None:
    """Print the table of a day."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ways.day", description=__doc__)
    parser.add_argument("--events", type=float, default=30e6, help="of a day")
    parser.add_argument("--peak", type=float, default=5.0, help="times the average")
    parser.add_argument("--answer", type=float, default=0.105, help="seconds of a worker's request")
    parser.add_argument("--page-size", type=float, default=24, help="events of a request")
    parser.add_argument("--outage", type=float, default=1800.0, help="seconds, at 8 in the evening")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 3, 4, 8, 16])
    options = parser.parse_args()
    busiest = options.events / DAY * options.peak
    print(
        f"{format_number(options.events / DAY)} events a second on average, {busiest:,.0f} in the"
    )
    print(f"busiest minutes; {options.outage / 60:,.0f} minutes without Topsort.\n")
    head = (
        "workers", "carried a second", "most waiting", "of these MiB of JSON",
        "caught up after, s", "left at midnight",
    )  # fmt: skip
    print(f"| {' | '.join(head)} |\n|{'---:|' * len(head)}")
    for row in build_rows(options):
        print(f"| {' | '.join(row)} |")
    hold = options.outage * busiest / QUEUE_SIZE
    print(f"\nIn memory such an outage in the busiest minutes takes {hold:,.0f} processes' queues")
    print(f"of {QUEUE_SIZE:,} events ({QUEUE_SIZE * MEMORY_BYTES / 1024**2:,.0f} MiB each).")


if __name__ == "__main__":
    main()
