"""Events from a client to the sink, and what became of them: what most axes measure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.running import Failed

if TYPE_CHECKING:
    from benchmarks.running import Bench, Measured
    from benchmarks.sink import Sink, Taken

CHILD = "benchmarks.child"
LOSSES = {"lost": "lost, %", "repeated": "repeated, %"}


@dataclass(frozen=True)
class Delivery:
    """What became of ``recorded`` events.

    ``seconds``: from the first record to the last arrival, None when nothing came. ``cpu``: seconds
    of the whole process since the first record. ``requests``: without those of the first page.
    """

    recorded: int
    arrived: int
    repeated: int
    requests: int
    seconds: float | None
    cpu: float

    @property
    def losses(self) -> dict[str, float | str | None]:
        """The figures of LOSSES."""
        return {
            "lost": 100.0 * (self.recorded - self.arrived) / self.recorded,
            "repeated": 100.0 * self.repeated / self.recorded,
        }

    @property
    def cost(self) -> float | None:
        """Microseconds of CPU for each event that arrived."""
        return 1e6 * self.cpu / self.arrived if self.arrived else None

    @property
    def rate(self) -> float | None:
        """Events a second, of those that arrived."""
        return self.arrived / self.seconds if self.seconds else None


def deliver(
    contestant: str, bench: Bench, events: int, *, pause: float = 0.0, delay: float = 0.0
) -> Delivery:
    """Record ``events`` with ``pause`` seconds after each page, flush, and wait for the last one.

    Each answer of the sink takes ``delay`` seconds.
    """
    patience = get_patience(bench)
    with (
        bench.open_sink(delay) as sink,
        begin(contestant, bench, sink, "pages", events, pause, patience) as process,
    ):
        before = sink.count()
        process.tell("go")
        said = process.hear()
        wait_until_quiet(sink, 0.5 + 2 * delay, patience)
        process.tell("end")
        cpu = process.hear(20.0)["cpu"]
        taken = sink.take()
    arrived, repeated = count(taken)
    return Delivery(
        recorded=events,
        arrived=arrived,
        repeated=repeated,
        requests=taken.requests - before,
        seconds=taken.last - said["first"] if arrived else None,
        cpu=cpu,
    )


def begin(contestant: str, bench: Bench, sink: Sink, program: str, *arguments: object) -> Measured:
    """Begin a program of benchmarks.child; return when its first page has arrived."""
    python = bench.get_python(contestant)
    process = bench.begin(CHILD, program, contestant, sink.url, *arguments, python=python)
    try:
        process.hear(60.0)
        deadline = time.monotonic() + 5.0
        while not sink.count():
            if time.monotonic() > deadline:
                raise Failed("the first page did not arrive")
            time.sleep(0.05)
    except BaseException:
        process.kill()
        raise
    return process


def get_patience(bench: Bench) -> float:
    """Return how many seconds a client gets to deliver what it has."""
    return 10.0 if bench.is_quick else 60.0


def wait_until_quiet(sink: Sink, quiet: float, limit: float) -> None:
    """Wait until no request has come for ``quiet`` seconds, or until ``limit`` seconds are over."""
    now = time.monotonic()
    deadline = now + limit
    seen, since = sink.count(), now
    while now < deadline and now - since < quiet:
        time.sleep(0.02)
        now = time.monotonic()
        if (count := sink.count()) != seen:
            seen, since = count, now


def count(taken: Taken) -> tuple[int, int]:
    """Return how many events arrived, each once, and how many times one came again.

    Only of those that ``cut`` in benchmarks.child names.
    """
    times = [number for bid, number in taken.bids.items() if bid[4:].isdigit()]
    return len(times), sum(times) - len(times)
