"""What the measured side of an axis needs: clocks, memory, and a way to say what it has found."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.child import PAGE, say
from benchmarks.child import leave as end


def leave(figures: Mapping[str, Any]) -> NoReturn:
    """Say the figures and end this process at once: a client would wait for its deliveries."""
    say(**figures)
    end()


def measure_cpu(call: Callable[[], object]) -> float:
    """Return the microseconds of CPU that ``call`` takes on this thread."""
    begun = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - begun) / 1000


def read_memory() -> int:
    """Return how many bytes of memory this process holds (RSS), or its peak where none says it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def build_pages(count: int, size: int = PAGE, name: str = "bid") -> list[list[str]]:
    """Return the bids of ``count`` pages, no two the same."""
    return [[f"{name}-{page}-{number}" for number in range(size)] for page in range(count)]


class SilentServer:
    """Takes connections and never answers: whatever is recorded stays with the client."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections: list[socket.socket] = []

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait until a client has begun to send; return whether one has within ``timeout``."""
        self._socket.settimeout(timeout)
        try:
            connection, _ = self._socket.accept()
            connection.settimeout(timeout)
            self._connections.append(connection)
            return bool(connection.recv(1))
        except TimeoutError:
            return False
