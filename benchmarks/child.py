"""What runs in the process that is measured: ``python -m benchmarks.child PROGRAM ...``.

A program begins with a page that is delivered, so that what a client does only once is done. Then
it says so and waits for a line: ``python -m benchmarks.child pages topsort URL 1000 0.01 60``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from benchmarks.contestants import Contestant, load
from benchmarks.contestants.impressions import PAGE_SIZE

PAGE = PAGE_SIZE  # events of a page
WARMING = 10.0  # seconds that the first page may take to be delivered
PARENTS = 10  # events that a process records before it forks


def say(**what: object) -> None:
    """Tell the bench: one JSON object, on a line of its own."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def begin(contestant: str, url: str) -> Contestant:
    """Start the client, deliver a page, and wait until the bench says to go on."""
    client = load(contestant)
    client.start(url)
    record_page(client, [f"warm-{number}" for number in range(PAGE)])
    client.flush(WARMING)
    say(ready=True)
    sys.stdin.readline()
    return client


def cut(events: int, prefix: str = "bid") -> Iterator[list[str]]:
    """Yield the bids of page after page, ``events`` together."""
    bids = [f"{prefix}-{number:06d}" for number in range(events)]
    for start in range(0, events, PAGE):
        yield bids[start : start + PAGE]


def record_page(client: Contestant, bids: list[str]) -> None:
    """Record one page."""
    client.begin_page()
    for position, bid in enumerate(bids, start=1):
        client.record(bid, position)
    client.end_page()


def run_pages(contestant: str, url: str, events: str, pause: str, timeout: str) -> None:
    """Record page after page with a pause after each, and flush; say when it began, and its CPU."""
    client = begin(contestant, url)
    seconds = float(pause)
    pages = list(cut(int(events)))
    cpu = time.process_time()
    first = time.monotonic()
    for bids in pages:
        record_page(client, bids)
        if seconds:
            time.sleep(seconds)
    client.flush(float(timeout))
    say(first=first)
    sys.stdin.readline()
    # Now all of it has arrived, or nothing more will.
    say(cpu=time.process_time() - cpu)
    leave()


def run_trickle(contestant: str, url: str, rate: str, seconds: str) -> None:
    """Record single events in even steps, and say when each was recorded. Nothing is flushed."""
    client = begin(contestant, url)
    step = 1.0 / float(rate)
    recorded: dict[str, float] = {}
    begun = time.monotonic()
    for number in range(int(float(rate) * float(seconds))):
        time.sleep(max(0.0, begun + number * step - time.monotonic()))
        bid = f"bid-{number:06d}"
        recorded[bid] = time.monotonic()
        record_page(client, [bid])
    say(recorded=recorded)
    sys.stdin.readline()
    leave()


def run_outage(contestant: str, url: str, rate: str, seconds: str) -> None:
    """Record pages in even steps while nobody answers; later, when told to, flush."""
    client = begin(contestant, url)
    step = PAGE / float(rate)
    recorded = raised = 0
    longest = 0.0
    begun = time.monotonic()
    for number, bids in enumerate(cut(int(float(rate) * float(seconds)))):
        time.sleep(max(0.0, begun + number * step - time.monotonic()))
        page_begun = time.monotonic()
        if page_begun - begun > float(seconds):
            break  # a page had to wait: those that should have come meanwhile never came
        try:
            record_page(client, bids)
        except Exception:
            raised += 1
        recorded += len(bids)
        longest = max(longest, time.monotonic() - page_begun)
    say(recorded=recorded, raised=raised, longest=longest)
    timeout = sys.stdin.readline()
    with suppress(Exception):
        client.flush(float(timeout))
    say(flushed=True)
    sys.stdin.readline()
    leave()


def run_end(contestant: str, url: str, events: str, how: str) -> None:
    """Record, say so, and end at once (``exit``) or when a signal comes (``signal``)."""
    signal.signal(signal.SIGTERM, end_by_signal)
    client = begin(contestant, url)
    for bids in cut(int(events)):
        record_page(client, bids)
    say(recorded=time.monotonic())
    while how == "signal":
        time.sleep(0.1)


def end_by_signal(number: int, frame: object) -> NoReturn:
    """End as a server's worker does that is asked to."""
    raise SystemExit


def run_fork(contestant: str, url: str, events: str, timeout: str) -> None:
    """Use the client, fork, and record in the child, which flushes and ends as usual."""
    client = begin(contestant, url)
    record_page(client, [f"bid-parent-{number}" for number in range(PARENTS)])
    child = os.fork()
    if not child:
        for bids in cut(int(events)):
            record_page(client, bids)
        client.flush(float(timeout))
        sys.exit()
    _, status = os.waitpid(child, 0)
    say(status=status)
    leave()


def run_versions(*distributions: str) -> None:
    """Say which versions of these distributions are installed here."""
    found: dict[str, str | None] = {"Python": sys.version.split()[0]}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    say(**found)


def leave() -> NoReturn:
    """End at once: how clients end is measured by itself."""
    sys.stdout.flush()
    os._exit(0)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "pages": run_pages,
    "trickle": run_trickle,
    "outage": run_outage,
    "end": run_end,
    "fork": run_fork,
    "versions": run_versions,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
