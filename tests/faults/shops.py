"""Processes of the market, which share a database and an API, and die in many ways."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django_topsort.testing import FakeApi
from tests.faults.databases import Database
from tests.scripts import ROOT
from tests.servers.serving import Site, serve

KEY = "TSE_canary-in-a-mine-0123456789"
SHOPPER = "shopper-1"
OUTBOX = "django_topsort.outbox.backend.EventBackend"
THREAD = "django_topsort.backends.thread.EventBackend"
SECONDS = 90.0  # for machines with other things to do: no process takes a tenth of it when alone
PRELUDE = "from tests.faults.market.script import *\n"

SETTINGS: dict[str, Any] = {
    "INSTALLED_APPS": [
        "tests.faults.market",
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django_topsort",
        "django_topsort.outbox",
        "tests.shop",
    ],
    "MIDDLEWARE": [
        "django_topsort.middleware.TopsortMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    # The shop has no migrations, and its orders refer to users: their tables are made in one go.
    "MIGRATION_MODULES": dict.fromkeys(("admin", "auth", "contenttypes", "sessions")),
    "ALLOWED_HOSTS": ["127.0.0.1", "testserver"],
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "ROOT_URLCONF": "tests.faults.market.urls",
    "STATIC_URL": "/static/",
    "TOPSORT_API_KEY": KEY,
    "TOPSORT_BACKENDS": {"default": OUTBOX},
    "TOPSORT_FLUSH_INTERVAL": 0.1,
    # A test says itself who relays, and when.
    "TOPSORT_OUTBOX_RELAY": False,
}


class Process:
    """A process of the market. ``log``: the file to which it writes its errors."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.wait().code == -signal.SIGKILL

    def wait(self) -> Ended:
        output, _ = self.process.communicate(timeout=SECONDS)
        return Ended(self.process.returncode, output, self.log.read_text(errors="replace"))

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until something holds which this process is to see to."""
        wait_until(condition, lambda: self.process.poll() is None)


class Ended:
    """What is left of a process: how it ended and what it said."""

    def __init__(self, code: int, output: str, log: str) -> None:
        self.code = code
        self.output = output
        self.log = log

    @property
    def facts(self) -> Any:
        """What the script has told."""
        return json.loads(self.output.splitlines()[-1])


class Shop:
    """A market on a database, which reports to an API; each of its processes is a real one."""

    def __init__(self, database: Database, api: FakeApi, directory: Path, **settings: Any) -> None:
        self.database = database
        self.api = api
        self.directory = directory
        self.settings = {
            **SETTINGS,
            "DATABASES": {"default": database.entry},
            "TOPSORT_API_URL": api.url,
            **settings,
        }
        self.processes: list[Process] = []

    def add_database(self, alias: str, database: Database) -> None:
        """Let the shop have another database too, with all of its tables; or this one instead."""
        self.settings["DATABASES"][alias] = database.entry
        self.migrate(alias)

    def migrate(self, alias: str = "default") -> None:
        """Make the shop's tables."""
        self.run(
            f"call_command('migrate', database={alias!r}, run_syncdb=True, verbosity=0)",
            DATABASE_ROUTERS=[],
        )

    def start(self, code: str, *, clock: float = 0.0, **settings: Any) -> Process:
        """Start a script; ``clock``: by how many seconds its host's clock is ahead."""
        return self._start(["-c", PRELUDE + textwrap.dedent(code)], settings, clock)

    def run(self, code: str, *, code_at_end: int = 0, clock: float = 0.0, **settings: Any) -> Ended:
        """Run a script to its end, which is to be ``code_at_end``."""
        ended = self.start(code, clock=clock, **settings).wait()
        assert ended.code == code_at_end, f"{ended.code}\n{ended.output[-2000:]}\n{ended.log}"
        return ended

    def start_relay(self, *options: str, clock: float = 0.0, **settings: Any) -> Process:
        """Start ``topsort_relay``."""
        code = f"call_command('topsort_relay', {', '.join(map(repr, options))})"
        return self.start(code, clock=clock, **settings)

    def relay(self, *, is_all: bool = True, **settings: Any) -> Ended:
        """Relay what is due; by default that is all that there is."""
        ended = self.start_relay("--once", **settings).wait()
        assert ended.code == (not is_all), f"{ended.code}\n{ended.output[-2000:]}\n{ended.log}"
        return ended

    @contextmanager
    def serve(self, kind: str, name: str = "log", **settings: Any) -> Iterator[Site]:
        """Run a server of the market's pages."""
        given = {**self.settings, **settings}
        with serve(kind, self.directory / name, **given) as site:
            yield site

    def get_received(self) -> list[str]:
        return sorted(event["id"] for event in self.api.events)

    def close(self) -> None:
        """Leave no process behind."""
        for process in self.processes:
            if process.process.poll() is None:
                process.send(signal.SIGKILL)
            process.process.communicate()

    def _start(self, arguments: list[str], settings: dict[str, Any], clock: float) -> Process:
        environment = {
            **{name: value for name, value in os.environ.items() if "COVERAGE" not in name},
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.servers.project.settings",
            "SITE_SETTINGS": json.dumps({**self.settings, **settings}),
            "MARKET_CLOCK": str(clock),
        }
        log = self.directory / f"log-{len(self.processes)}"
        process = Process(["-W", "error", *arguments], environment, log)
        self.processes.append(process)
        return process


def wait_until(condition: Callable[[], Any], may_go_on: Callable[[], bool] = lambda: True) -> None:
    """Wait until something holds; AssertionError where it takes too long."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert may_go_on(), "the process has ended"
        assert time.monotonic() < deadline, "it has not come to it"
        time.sleep(0.02)
