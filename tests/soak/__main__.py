"""``python -m tests.soak``: a shop under two servers, and an API that comes and goes.

Shoppers look, click and order for as long as it takes. In the end the sums at both ends must
agree, every order must have arrived, and memory must be flat: then it exits with 0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.databases import build_database
from tests.servers.serving import ROOT, serve
from tests.soak.flapping import FlappingApi
from tests.soak.shoppers import Crowd
from tests.soak.verdict import KINDS, MAX_GROWTH, Report, build_table, judge

SERVERS = ("gunicorn-gthread", "uvicorn")
# Where the README says that each kind should go.
BACKENDS = {
    "default": "django_topsort.backends.thread.EventBackend",
    "purchases": "django_topsort.outbox.backend.EventBackend",
    "overflow": "django_topsort.outbox.backend.EventBackend",
}
SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "tests.soak.site",
    "INSTALLED_APPS": ["django_topsort", "django_topsort.outbox"],
    "TOPSORT_BACKENDS": BACKENDS,
    "TOPSORT_TIMEOUT": [1.0, 2.0],
    "TOPSORT_OUTBOX_SWEEP_INTERVAL": 5.0,
}
SHOPPERS = 3  # of each site
# Seconds for what waits when the API is well again: what has failed often waits for minutes.
SETTLING = 600.0


def main() -> int:
    options = read_options()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        flapping = FlappingApi(options.seed)
        flapping.start()
        stack.callback(flapping.api.stop)
        told = {
            **SETTINGS,
            "TOPSORT_API_URL": flapping.api.url,
            "DATABASES": {"default": prepare_database(Path(directory))},
        }
        logs = [Path(directory) / name for name in SERVERS]
        sites = [
            stack.enter_context(serve(name, log, **told))
            for name, log in zip(SERVERS, logs, strict=True)
        ]
        crowds = [Crowd(site, SHOPPERS, options.pause) for site in sites]
        say(f"{options.seconds:.0f} s, seed {options.seed}, {', '.join(SERVERS)}")
        wait_for_it(crowds, flapping, options.seconds)
        flapping.calm()
        reports = close(crowds)
        for site in sites:
            site.stop()
        taken = flapping.stop()
        print(build_table(reports, taken), flush=True)
        for crowd, report in zip(crowds, reports, strict=True):
            seconds = sorted(crowd.seconds)
            say(
                f"{report.name}: {len(seconds)} pages, half of them within"
                f" {seconds[len(seconds) // 2] * 1000:.0f} ms, 99 % within"
                f" {seconds[len(seconds) * 99 // 100] * 1000:.0f} ms; memory {report.kib[-1]} KiB,"
                f" {report.growth:+d} since it was warm (allowed: {MAX_GROWTH})"
            )
        shown = ", ".join(f"{name} {count}x" for name, count in sorted(flapping.shown.items()))
        say(f"{flapping.requests} requests; faults shown: {shown}")
        wrong = judge(reports, taken)
        for fault in wrong:
            say(f"WRONG: {fault}")
        if wrong and options.keep_logs:
            for log in logs:
                log.rename(ROOT / f"soak-{log.name}.log")
        say("not well" if wrong else "all well")
        return 1 if wrong else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0, help="default: 1200")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the API's chances")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two visits")
    parser.add_argument("--keep-logs", action="store_true", help="keep them when it is not well")
    return parser.parse_args()


def prepare_database(directory: Path) -> dict[str, Any]:
    """Return a database with our tables: TEST_DATABASE_URL's, or a file."""
    database = build_database(os.environ.get("TEST_DATABASE_URL", ""))
    if database["NAME"] == ":memory:":
        database["NAME"] = str(directory / "shop.sqlite3")
        # Two processes write: who begins must wait for its turn, and not fail in the midst of it.
        database["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
    told = {"DATABASES": {"default": database}, "INSTALLED_APPS": SETTINGS["INSTALLED_APPS"]}
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.servers.project.settings",
        "SITE_SETTINGS": json.dumps(told),
    }
    command = [sys.executable, "-m", "django", "migrate", "--verbosity=0", "--skip-checks"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return database


def wait_for_it(crowds: list[Crowd], flapping: FlappingApi, seconds: float) -> None:
    """Let the shoppers shop, and say once a minute how it goes."""
    for crowd in crowds:
        crowd.start()
    begun = time.monotonic()
    try:
        while (left := begun + seconds - time.monotonic()) > 0:
            time.sleep(min(left, 60.0))
            said = sum((crowd.said for crowd in crowds), start=type(crowds[0].said)())
            figures = ", ".join(f"{said[kind]} {kind}" for kind in KINDS)
            memory = ", ".join(f"{crowd.kib[-1] if crowd.kib else 0} KiB" for crowd in crowds)
            say(f"{time.monotonic() - begun:.0f} s: {figures}; {memory}")
    finally:
        for crowd in crowds:
            crowd.stop()


def close(crowds: list[Crowd]) -> list[Report]:
    """Return what became of each site, when all of it is settled, or after a time for that."""
    deadline = time.monotonic() + SETTLING
    while True:
        # A page from time to time: by what is taken a refused purchase is told from a refused shop.
        for crowd in crowds:
            crowd.browse()
        look = time.monotonic() + 5.0
        while is_waiting(books := [read_books(crowd) for crowd in crowds]):
            if time.monotonic() > look:
                break
            time.sleep(0.1)
        else:
            break
        if time.monotonic() > deadline:
            break
    return [build_report(crowd, book) for crowd, book in zip(crowds, books, strict=True)]


def build_report(crowd: Crowd, books: Any) -> Report:
    log = crowd.site.read_log()
    return Report(
        name=crowd.site.kind,
        said=crowd.said,
        counts=books["counts"],
        orders=frozenset(crowd.orders),
        poisons=frozenset(crowd.poisons),
        rejected=frozenset(books["rejected"]),
        unnamed=frozenset(one for one in books["rejected"] if one not in log),
        failed_pages=crowd.failed_pages,
        kib=crowd.kib,
    )


def is_waiting(books: list[Any]) -> bool:
    """Whether anything waits, in memory or in the outbox."""
    counts = [kind for book in books for kind in book["counts"].values()]
    stored = sum(kind["stored"] - kind["taken"] for kind in counts)
    return stored > 0 or any(kind["waiting"] for kind in counts)


def read_books(crowd: Crowd) -> Any:
    connection = crowd.site.connect()
    connection.request("GET", "/books/")
    with connection.getresponse() as response:
        books = json.loads(response.read())
    connection.close()
    for counts in books["counts"].values():
        del counts["reasons"]
    return books


def say(text: str) -> None:
    print(f"soak: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
