"""The bench at which a round stands: the environments, fresh processes and the sink."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import ROOT
from benchmarks.contestants import GUESTS, PEERS
from benchmarks.sink import Sink

LIMIT = 180.0  # seconds that a process may take, where its axis does not say less


class Failed(Exception):
    """A process that was measured broke down, or took too long; the text says which."""


class TimedOut(Failed):
    """It took too long."""


class Measured:
    """A process that is being measured. It says JSON objects, a line each, and hears lines.

    At the end of ``with`` it is killed, with whatever it has started.
    """

    def __init__(self, command: list[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=build_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process and its children, if they are there still, and close all that is open."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._ear.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._errors.close()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            # Clients print what they like; what is ours is an object.
            if line.startswith("{"):
                with suppress(ValueError):
                    self._said.put(json.loads(line))
        self._said.put(None)

    def tell(self, word: str) -> None:
        """Send one line to the process."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(f"{word}\n")
                self._process.stdin.flush()

    def hear(self, limit: float = LIMIT) -> dict[str, Any]:
        """Return the next object that the process says.

        Raise TimedOut when it says nothing for ``limit`` seconds, and Failed when it has ended.
        """
        try:
            said = self._said.get(timeout=limit)
        except queue.Empty:
            raise TimedOut(f"nothing for {limit:.0f} s") from None
        if said is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            raise Failed(self._explain())
        return said

    def finish(self, limit: float = LIMIT) -> dict[str, Any]:
        """Wait for the end, which must be a good one; return the last object said."""
        deadline = time.monotonic() + limit
        last: dict[str, Any] | None = None
        while True:
            try:
                said = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimedOut(f"not done after {limit:.0f} s") from None
            if said is None:
                break
            last = said
        if not self.wait(max(0.1, deadline - time.monotonic())):
            raise TimedOut(f"not done after {limit:.0f} s")
        if self._process.returncode or last is None:
            raise Failed(self._explain())
        return last

    def wait(self, limit: float) -> bool:
        """Wait for the end of the process, however it ends; return whether it has ended."""
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def _explain(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'no word'} (exit code {self._process.returncode})"


@dataclass
class Bench:
    """What an axis needs to measure.

    ``ours`` and ``peers``: the interpreters of the two environments. ``is_quick``: whether to do
    with less, such as a fifth of the events; for a run that only shows that all works.
    """

    ours: Path
    peers: Path
    is_quick: bool = False

    def get_python(self, contestant: str) -> Path:
        """Return the interpreter of a contestant's environment."""
        return self.peers if contestant in (*PEERS, *GUESTS) else self.ours

    def begin(self, module: str, *arguments: object, python: Path | None = None) -> Measured:
        """Begin ``python -m module arguments`` afresh, to talk with it; use it in a ``with``."""
        interpreter = str(python or self.ours)
        return Measured([interpreter, "-m", module, *map(str, arguments)])

    def run(
        self, module: str, *arguments: object, python: Path | None = None, limit: float = LIMIT
    ) -> dict[str, Any]:
        """Run ``python -m module arguments`` afresh; return the JSON object of its last line.

        Raise Failed when it ends with another code than 0, or not within ``limit`` seconds.
        """
        with self.begin(module, *arguments, python=python) as measured:
            return measured.finish(limit)

    def open_sink(self, delay: float = 0.0) -> Sink:
        """Return a sink that has heard nothing yet, and answers after ``delay`` seconds."""
        return Sink(delay)


def build_environment() -> dict[str, str]:
    """Return the environment of what is measured: ours to import, and no proxy in between."""
    kept = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    # A site that is up has its modules compiled. Those that are not are, the first time.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(ROOT)}
