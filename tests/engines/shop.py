"""A shop with Celery: a web process that does as it is told, and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django_topsort.testing import FakeApi
from tests.engines.brokers import Broker
from tests.faults.app import SETUP, App
from tests.sending.engine import wait_until

CELERY = "django_topsort.backends.celery.EventBackend"
OUTBOX = "django_topsort.outbox.backend.EventBackend"
# Redis gives back what a killed worker had when this is over, and is asked for it every second.
SOON = {"visibility_timeout": 4, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
# A web process: reads a line of code, runs it, and says "ok" or what went wrong. What it is made to
# hand over is timed; the longest time is kept.
WEB = (
    SETUP
    + """
import json, traceback
from django_topsort.accounts import accounts
from django_topsort.status import get_status
from tests.engines.recording import record_all
longest = 0.0

def timed(function, *args):
    global longest
    begun = time.perf_counter()
    try:
        return function(*args)
    finally:
        longest = max(longest, time.perf_counter() - begun)

for line in sys.stdin:
    try:
        try:
            print("ok", json.dumps(eval(line)), flush=True)
        except SyntaxError:
            exec(line)
            print("ok null", flush=True)
    except BaseException:
        print("failed", json.dumps(traceback.format_exc()), flush=True)
"""
)


class Web:
    """A web process of the shop."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, code: str) -> Any:
        """Run a line of code there; return its value, if it is an expression."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            word, _, value = line.partition(" ")
            if word == "ok":
                return json.loads(value)
            said.append(line)
            if word == "failed":
                break
        raise AssertionError("".join(said))

    def get_longest(self) -> float:
        """Return how long the longest hand-over has taken, in seconds, and forget it."""
        return float(self.ask("(longest, globals().update(longest=0.0))")[0])


class Worker:
    """A worker of Celery, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.is_ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if " ready." in line:
                self.is_ready.set()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def get_children(self) -> list[int]:
        """Return the ids of the processes that do the work."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def stop(self) -> None:
        """End it as a deployment does, after what it is at."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)
        self._reader.join(10)

    def kill(self) -> None:
        """End it and its children at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(10)


class Shop(App):
    """The site's code, with Celery on ``broker`` and a queue of its own."""

    def __init__(self, api: FakeApi, folder: Path, broker: Broker, **settings: Any) -> None:
        given = {
            "TOPSORT_BACKENDS": {"default": CELERY},
            "TOPSORT_ENGINE_QUEUE": None,
            "TOPSORT_TIMEOUT": [2, 30],
        }
        super().__init__(api, folder, **{**given, **settings})
        self.broker = broker
        self.folder = folder
        self.queue = f"topsort-{uuid.uuid4().hex[:12]}"
        self.env["CELERY_BROKER"] = broker.url
        self.env["CELERY_QUEUE"] = self.queue
        self.env["SITE_IMPORTS"] = "tests.engines.queue_app"

    def change(self, **settings: Any) -> None:
        """Give processes that start from now on other settings."""
        given = {**json.loads(self.env["SITE_SETTINGS"]), **settings}
        self.env["SITE_SETTINGS"] = json.dumps(given)

    def configure(self, **conf: Any) -> None:
        """Give processes that start from now on another configuration of Celery."""
        given = {**json.loads(self.env.get("CELERY_CONF", "{}")), **conf}
        self.env["CELERY_CONF"] = json.dumps(given)

    def add_outbox(self, **backends: str) -> None:
        """Let there be an outbox, with a table, for some kinds of events or as the overflow."""
        self.change(
            INSTALLED_APPS=["django_topsort", "django_topsort.outbox"],
            TOPSORT_BACKENDS={"default": CELERY, **backends},
        )
        self.run("-m", "django", "migrate", "--verbosity=0")

    def get_rows(self) -> int:
        """Return how many purchases in the outbox are not with Topsort."""
        code = """
            from django_topsort.outbox.models import OutboxEvent
            print(OutboxEvent.objects.waiting().count())
        """
        return int(self.run_code(code))

    @contextmanager
    def serve(self) -> Iterator[Web]:
        """Start a web process."""
        with self.start("-c", WEB, stdin=subprocess.PIPE) as process:
            web = Web(process)
            assert web.ask("1") == 1
            yield web

    @contextmanager
    def work(self, *options: str, queue: str | None = None) -> Iterator[Worker]:
        """Start a worker with two processes, unless ``options`` say otherwise."""
        command = [sys.executable, "-W", "default", "-m", "celery", "-A", "tests.engines.queue_app"]
        command += [
            "worker",
            "--without-mingle",
            "--without-gossip",
            "--concurrency=2",
            "-l",
            "INFO",
        ]
        process = subprocess.Popen(
            [*command, "-Q", queue or self.queue, *options],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        worker = Worker(process)
        try:
            assert worker.is_ready.wait(60), worker.output
            yield worker
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            worker._reader.join(10)
            assert process.stdout is not None
            process.stdout.close()

    def wait_for_waiting(self, count: int) -> None:
        """Wait until the broker has ``count`` messages that nobody has fetched."""
        wait_until(lambda: self.broker.count_waiting(self.queue) >= count)

    def wait_for_all(self, seconds: float = 60.0) -> None:
        """Wait until Topsort has all that was recorded, and nothing else."""
        recorded = self.get_ids()
        self.api.wait_for(len(recorded), timeout=seconds)
        self.assert_all_arrived()
