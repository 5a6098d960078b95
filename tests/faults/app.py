"""The site's code in a process of its own, and what it says that it recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django_topsort.testing import FakeApi

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
SETUP = """
import atexit, os, signal, sys, threading, time
import django
django.setup()
from django_topsort.delivery import flush, flushing
from tests.faults.recording import record_click, record_order
from tests.servers.project import ledger
"""


class App:
    """A process with Django set up; its code runs after ``SETUP``."""

    def __init__(self, api: FakeApi, folder: Path, **settings: Any) -> None:
        self.api = api
        self.ledger = folder / "ledger"
        self.ledger.touch()
        given = {"TOPSORT_API_URL": api.url, "TOPSORT_FLUSH_INTERVAL": 600, **settings}
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.servers.project.settings",
            "PYTHONPATH": str(ROOT),
            "SITE_SETTINGS": json.dumps(given),
            "SITE_LEDGER": str(self.ledger),
            "SITE_DATABASE": str(folder / "sqlite3"),
            "SITE_LEFT": str(folder / "left"),
        }

    @contextmanager
    def start(
        self, *command: str, stdin: int = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command of Python; whatever happens, no process is left."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *command],
            env=self.env,
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()

    @contextmanager
    def start_code(
        self, code: str, stdin: int = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[str]]:
        with self.start("-c", SETUP + textwrap.dedent(code), stdin=stdin) as process:
            yield process

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command that must end with ``code``; return all that it printed."""
        with self.start(*command) as process:
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == code, output
        return output

    def run_code(self, code: str, returncode: int = 0) -> str:
        """Run code that must end with ``returncode``; return all that it printed."""
        return self.run("-c", SETUP + textwrap.dedent(code), code=returncode)

    def read_ledger(self) -> list[list[str]]:
        return [line.split() for line in self.ledger.read_text(encoding="ascii").splitlines()]

    def get_ids(self, word: str = "recorded") -> list[str]:
        """Return the ids of what was recorded, or was dropped for a reason."""
        return sorted(event_id for said, _, event_id in self.read_ledger() if said == word)

    def assert_all_arrived(self, expected: set[str] | None = None) -> None:
        """Compare ids: what the app recorded, once each, and nothing else, is what came."""
        recorded = self.get_ids()
        assert expected is None or set(recorded) == expected
        assert sorted(event["id"] for event in self.api.events) == recorded
        assert self.api.altered == []
