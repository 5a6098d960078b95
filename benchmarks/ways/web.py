"""One web process: ``python -m benchmarks.ways.web FIRST PACE SECONDS SEED``.

It gives requests to Django's WSGI handler as a server with one thread does, at random moments
(Poisson) of ``PACE`` pages a second, and ``PACE`` 0 one after the other. ``FIRST``: the number of
its first page. It says what it has measured, waits for a line, and ends as a server would.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.contestants.impressions import PAGE_SIZE, USER
from benchmarks.project import build_environ
from benchmarks.ways import WAYS

WARMING = 20  # pages that are not measured
BURST = 1000  # pages of a process that has no pace


class Meter:
    """What pages took: until the last byte of the answer, and until the process was free again."""

    def __init__(self) -> None:
        self.answers: list[float] = []
        self.ends: list[float] = []
        self.cpu: list[float] = []

    def describe(self) -> dict[str, float]:
        """Return the figures, in microseconds of a page."""
        return {
            "pages": len(self.ends),
            "answer": statistics.median(self.answers) * 1e6,
            "answer_p99": get_quantile(self.answers, 0.99) * 1e6,
            "after_p99": get_quantile(self.ends, 0.99) * 1e6,
            "longest": max(a + b for a, b in zip(self.answers, self.ends, strict=True)) * 1e6,
            "cpu": statistics.mean(self.cpu) * 1e6,
        }


def get_quantile(values: list[float], part: float) -> float:
    """Return the value below which this part of them is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main(first: int, pace: float, seconds: float, seed: int) -> None:
    """Show pages, and say what they took."""
    handler = build_handler()
    for number in range(WARMING):
        show(handler, first + number, Meter())
    say(ready=True)
    sys.stdin.readline()
    meter = Meter()
    rand = random.Random(seed)
    number, begun = first + WARMING, time.monotonic()
    due = begun
    cpu = time.process_time()
    while (time.monotonic() - begun < seconds) if pace else (len(meter.ends) < BURST):
        if pace:
            due += rand.expovariate(pace)
            time.sleep(max(0.0, due - time.monotonic()))
        show(handler, number, meter)
        number += 1
    shown = time.monotonic()
    say(events=(number - first) * PAGE_SIZE, shown=shown, **meter.describe())
    sys.stdin.readline()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    say(whole_cpu=time.process_time() - cpu, memory=usage.ru_maxrss / 1024)


def build_handler() -> Callable[..., Iterable[bytes]]:
    """Return the project's WSGI application."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.ways.settings")
    if os.environ["WAY"] == WAYS[3]:
        from benchmarks.ways import celery_app

        celery_app.app.set_default()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def show(handler: Callable[..., Iterable[bytes]], number: int, meter: Meter) -> None:
    """Let one page be made, as a server does it, and note what it took."""
    environ = build_environ(f"/shoes/{number}/", shopper=USER)
    cpu = time.thread_time()
    begun = time.perf_counter()
    response: Any = handler(environ, lambda status, headers: None)
    for _ in response:
        pass
    answered = time.perf_counter()
    response.close()  # from here on the shopper has his page
    ended = time.perf_counter()
    meter.answers.append(answered - begun)
    meter.ends.append(ended - answered)
    meter.cpu.append(time.thread_time() - cpu)


def say(**what: object) -> None:
    """Tell the bench: one JSON object, on a line of its own."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
