"""A real server in a process of its own, on a socket that was opened here."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]

GUNICORN = ["gunicorn", "tests.servers.project.wsgi", "--graceful-timeout=20", "--bind=fd://{fd}"]
COMMANDS = {
    "gunicorn-sync": [*GUNICORN, "--workers=1"],
    "gunicorn-preload": [*GUNICORN, "--workers=1", "--preload"],
    "gunicorn-gthread": [*GUNICORN, "--workers=1", "--worker-class=gthread", "--threads=2"],
    "uvicorn": ["uvicorn", "tests.servers.project.asgi:application", "--fd={fd}"],
}
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"


class Site:
    """The tests' site while a server serves it."""

    def __init__(
        self, kind: str, process: subprocess.Popen[bytes], port: int, log: IO[bytes]
    ) -> None:
        self.kind = kind
        self.process = process
        self.port = port
        self.left = Path(f"{log.name}.left")
        self._log = log

    @property
    def is_asgi(self) -> bool:
        return self.kind == "uvicorn"

    @property
    def ends_with(self) -> int:
        """The exit code after SIGTERM: uvicorn cleans up and then lets the signal end it."""
        return -signal.SIGTERM if self.kind == "uvicorn" else 0

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)

    def get(
        self,
        path: str,
        connection: http.client.HTTPConnection | None = None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Return the answer to a shopper's request, read to its last byte."""
        used = connection or self.connect()
        try:
            used.request("GET", path, headers={"User-Agent": USER_AGENT, **(headers or {})})
            with used.getresponse() as response:
                response.read()
                return response
        finally:
            if connection is None:
                used.close()

    def measure(self, path: str, connection: http.client.HTTPConnection | None = None) -> float:
        """Return the seconds until the last byte of an answer."""
        begun = time.perf_counter()
        assert self.get(path, connection).status == 200
        return time.perf_counter() - begun

    def read_log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def stop(self, timeout: float = 20) -> tuple[int, float]:
        """Ask the server to end; return its exit code and the seconds that it took."""
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        return code, time.perf_counter() - begun


@contextmanager
def serve(kind: str, log_path: Path, **settings: Any) -> Iterator[Site]:
    """Run the site under the server ``kind``; whatever happens, no process is left."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as bound, log_path.open("wb") as log:
        name, *arguments = (part.format(fd=bound.fileno()) for part in COMMANDS[kind])
        process = subprocess.Popen(
            [sys.executable, "-m", name, *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.servers.project.settings",
                "SITE_SETTINGS": json.dumps(settings),
                "SITE_LEFT": f"{log_path}.left",
            },
            pass_fds=[bound.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        site = Site(kind, process, bound.getsockname()[1], log)
        try:
            # The socket listens already, so this waits for as long as the server needs to start.
            assert site.get("/silent/").status == 200
            yield site
            if process.poll() is None:
                site.stop()
        except BaseException as error:
            error.add_note(f"--- {kind} said:\n{site.read_log()}")
            raise
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
