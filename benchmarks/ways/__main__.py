"""``python -m benchmarks.ways``: what each way costs a page, and what it carries.

The web processes show pages of 24 impressions at the pace of a marketplace's busiest minutes; each
answer of the API takes as long as a real one. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.running import Measured
from benchmarks.sink import Sink, Taken
from benchmarks.tables import format_number
from benchmarks.ways import NOTHING, WAYS
from benchmarks.ways.workers import get_cpu, run_workers, wait_for_cpu_to_rest

FIGURES = {
    "cpu": "CPU of a page's thread, ms",
    "answer": "page, median ms",
    "answer_p99": "page, p99 ms",
    "after_p99": "after the page, p99 ms",
    "longest": "longest, ms",
    "web_cpu": "CPU of the web processes, us an event",
    "worker_cpu": "CPU of the workers, us an event",
    "requests": "requests, for 1,000 events",
    "rate": "events a second",
    "late": "last one in after, s",
    "lost": "lost",
    "repeated": "repeated",
}
PROCESS_STEP = 1_000_000  # page numbers of one process
PATIENCE = 120.0


def main() -> None:
    """Measure each way, and print a table."""
    options = read_options()
    print(f"| | {' | '.join(FIGURES.values())} |\n|---|{'---:|' * len(FIGURES)}", flush=True)
    for way in options.ways:
        row = measure(way, options)
        cells = (format_number(row[key]) if key in row else "-" for key in FIGURES)
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ways", description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--pages", type=float, default=72.0, help="a second, of all; 0: a burst")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=2, help="web processes")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--pool", choices=("prefork", "threads"), default="prefork")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds of an answer")
    parser.add_argument("--outage", type=float, default=0.0, help="seconds without the API")
    parser.add_argument("--broker", default="", help="Celery's, such as redis://127.0.0.1:6379/0")
    parser.add_argument("--database", default=os.environ.get("TEST_DATABASE_URL", ""))
    return parser.parse_args()


def measure(way: str, options: argparse.Namespace) -> dict[str, float]:
    """Measure one way."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sink = stack.enter_context(Sink(options.delay))
        environment = build_environment(way, sink.url, Path(folder), options)
        run_django("migrate", environment)
        os.environ.update(environment)  # what a Measured process inherits
        workers = stack.enter_context(run_workers(way, options.workers, environment, options.pool))
        wait_for_cpu_to_rest(workers)
        pages = [stack.enter_context(begin(number, options)) for number in range(options.processes)]
        for page in pages:
            page.hear()
        worker_cpu = get_cpu(workers)
        for page in pages:
            page.tell("go")
        if options.outage:
            time.sleep(max(0.0, (options.seconds - options.outage) / 2))
            sink.go_down()
            time.sleep(options.outage)
            sink.come_back()
        said = [page.hear(options.seconds + PATIENCE) for page in pages]
        events = int(sum(one["events"] for one in said))
        taken = wait_for(sink, events) if way != NOTHING else None
        worker_cpu = get_cpu(workers) - worker_cpu
        for page in pages:
            page.tell("end")
        ends = [page.hear() for page in pages]
        return sum_up(said, ends, taken, worker_cpu if workers else None)


def begin(number: int, options: argparse.Namespace) -> Measured:
    """Start one web process."""
    first = (number + 1) * PROCESS_STEP
    pace = options.pages / options.processes
    arguments = [str(part) for part in (first, pace, options.seconds, number)]
    return Measured([sys.executable, "-m", "benchmarks.ways.web", *arguments])


def build_environment(
    way: str, url: str, folder: Path, options: argparse.Namespace
) -> dict[str, str]:
    """Return the environment of the shop's processes."""
    kept = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "benchmarks.ways.settings",
        "WAY": way,
        "SINK": url,
        "SHOP_DATABASE": options.database or str(folder / "shop.sqlite3"),
        "SHOP_BROKER": options.broker,
        "SHOP_TASKS_APPS": os.environ.get("SHOP_TASKS_APPS", "django_tasks_db"),
        "SHOP_TASKS_BACKEND": os.environ.get(
            "SHOP_TASKS_BACKEND", "django_tasks_db.DatabaseBackend"
        ),
    }


def run_django(command: str, environment: dict[str, str]) -> None:
    """Run one of the project's commands."""
    arguments = [sys.executable, "-m", "django", command, "--verbosity", "0", "--skip-checks"]
    subprocess.run(arguments, cwd=ROOT, env=environment, check=True)


def wait_for(sink: Sink, events: int) -> Taken:
    """Wait until all events are there, or none has come for a while; return what has come."""
    deadline = time.monotonic() + PATIENCE
    seen = -1
    taken = sink.take()
    while len(taken.bids) < events and time.monotonic() < deadline:
        time.sleep(1.0)
        if sink.count() != seen:
            seen, taken = sink.count(), sink.take()
    return taken


def sum_up(
    said: list[dict[str, Any]],
    ends: list[dict[str, Any]],
    taken: Taken | None,
    worker_cpu: float | None,
) -> dict[str, float]:
    """Return the figures of a way."""
    count = len(said)
    events = sum(one["events"] for one in said)
    row = {
        key: sum(one[key] for one in said) / count / 1000
        for key in ("cpu", "answer", "answer_p99", "after_p99")
    }
    row["longest"] = max(one["longest"] for one in said) / 1000
    row["web_cpu"] = sum(one["whole_cpu"] for one in ends) / events * 1e6
    if worker_cpu is not None:
        row["worker_cpu"] = worker_cpu / events * 1e6
    if taken is not None:
        arrived = len(taken.bids)
        row["requests"] = taken.requests / max(1, arrived) * 1000
        row["rate"] = arrived / max(0.001, taken.last - taken.first)
        row["late"] = max(0.0, taken.last - max(one["shown"] for one in said))
        row["lost"] = events - arrived
        row["repeated"] = sum(taken.bids.values()) - arrived
    return row


if __name__ == "__main__":
    main()
