"""A server that takes whatever the clients send, as fast as it can, and counts it afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from benchmarks import ROOT


@dataclass(frozen=True)
class Taken:
    """What the sink got. ``bids``: how often each bid came. ``first``, ``last``: monotonic times.

    ``bytes`` are those of the bodies as they came, so of compressed ones fewer. The times are of
    ``time.monotonic()``, which is the same in all processes, and 0.0 where nothing has come.
    """

    requests: int
    bytes: int
    bids: dict[str, int]
    first: float
    last: float


class Sink:
    """The sink, in a process of its own: ``with Sink(delay=0.03) as sink: ... sink.url``.

    It answers each request as the service does for which it is meant, at once or ``delay`` seconds
    after its last byte; answers that are due later hold up no other. ``benchmarks.listening`` is
    what runs there. It is one process with one thread, so it has one of the machine's cores.
    """

    url: str

    def __init__(self, delay: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.listening", str(delay)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.url = self._hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the process."""
        self._process.communicate()  # closes its stdin, with which it ends, and waits

    def go_down(self) -> None:
        """Refuse connections, and break off those that are open.

        What has not been answered by then has not been taken.
        """
        self._ask("go_down")

    def come_back(self) -> None:
        """Answer again, at the same address."""
        self._ask("come_back")

    def count(self) -> int:
        """Return how many requests have been answered so far: cheap, to wait by."""
        return int(self._ask("count"))

    def take(self) -> Taken:
        """Read what has come (decompressed, decoded) and return it. Slow; to be asked at the end.

        See ``benchmarks.bodies`` for how bids are found. Nothing is answered in the meantime, and
        what has come is kept.
        """
        return Taken(**self._ask("take"))

    def find_arrivals(self) -> dict[str, float]:
        """Return when each bid came first, as a monotonic time. As slow as ``take``."""
        return dict(self._ask("find_arrivals"))

    def _ask(self, question: str) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):  # then there is no answer, either
                self._process.stdin.write(f"{question}\n".encode())
                self._process.stdin.flush()
            return self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = "the sink has ended; what it said of that is on stderr"
            raise RuntimeError(message)
        return json.loads(line)
