"""A real server in a process of its own, on a port that was reserved here."""

from __future__ import annotations

import http.client
import importlib.util
import itertools
import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
STARTING = 30.0  # seconds
PATIENCE = 15.0
_numbers = itertools.count(1)


def name_visit() -> str:
    """Return an id that no other test of this run has used."""
    return f"visit-{next(_numbers)}"


@dataclass(frozen=True)
class Server:
    """How a server is run: ``python -m`` the words of ``command``.

    ``needs``: the module without which it is not there. ``by_port``: it opens its socket itself.
    ``ends_with``: its exit code after SIGTERM, at which what waits is sent, or (``sends_at_exit``)
    is not. ``keeps_alive``: whether it takes a second request on a connection.
    """

    command: str
    needs: str
    is_asgi: bool = False
    by_port: bool = False
    keeps_alive: bool = True
    ends_with: int = 0
    sends_at_exit: bool = True


WSGI = "tests.servers.project.wsgi:application"
ASGI = "tests.servers.project.asgi:application"
GUNICORN = f"gunicorn {WSGI} --graceful-timeout=20 --bind=fd://{{fd}} --no-control-socket"
GUNICORN_ASGI = f"{GUNICORN} -k asgi".replace(WSGI, ASGI)
UWSGI = (
    "tests.servers.project.uwsgi --http-socket=fd://{fd} --master --need-app"
    " --hook-master-start='unix_signal:15 gracefully_kill_them_all'"
    " --module=tests.servers.project.wsgi --buffer-size=8192"
)
GRANIAN = "granian --host=127.0.0.1 --port={port} --no-log"
SERVERS = {
    "gunicorn-sync": Server(GUNICORN, "gunicorn"),
    "gunicorn-preload": Server(f"{GUNICORN} --preload", "gunicorn"),
    "gunicorn-gthread": Server(f"{GUNICORN} -k gthread --threads=2", "gunicorn"),
    "gunicorn-gthread-preload": Server(f"{GUNICORN} -k gthread --threads=2 --preload", "gunicorn"),
    "gunicorn-gevent": Server(f"{GUNICORN} -k gevent", "gevent"),
    "gunicorn-gevent-preload": Server(
        f"{GUNICORN} -k gevent --preload --config=python:tests.servers.project.patched", "gevent"
    ),
    "gunicorn-asgi": Server(f"{GUNICORN_ASGI}", "gunicorn.workers.gasgi", is_asgi=True),
    "gunicorn-asgi-preload": Server(
        f"{GUNICORN_ASGI} --preload", "gunicorn.workers.gasgi", is_asgi=True
    ),
    "uwsgi": Server(UWSGI, "pyuwsgi", keeps_alive=False),
    "uwsgi-threads": Server(f"{UWSGI} --enable-threads --threads=2", "pyuwsgi", keeps_alive=False),
    "waitress": Server(
        f"waitress --listen=127.0.0.1:{{port}} --threads=2 {WSGI}",
        "waitress",
        by_port=True,
        ends_with=-signal.SIGTERM,
        sends_at_exit=False,
    ),
    "hypercorn-wsgi": Server(f"hypercorn wsgi:{WSGI} --bind=fd://{{fd}}", "hypercorn"),
    "granian-wsgi": Server(f"{GRANIAN} --interface=wsgi {WSGI}", "granian", by_port=True),
    "runserver": Server(
        "django runserver 127.0.0.1:{port} --noreload",
        "django",
        by_port=True,
        ends_with=-signal.SIGTERM,
        sends_at_exit=False,
    ),
    "uvicorn": Server(
        f"uvicorn {ASGI} --fd={{fd}}", "uvicorn", is_asgi=True, ends_with=-signal.SIGTERM
    ),
    "uvicorn-workers": Server(f"uvicorn {ASGI} --fd={{fd}} --workers=2", "uvicorn", is_asgi=True),
    "hypercorn": Server(f"hypercorn {ASGI} --bind=fd://{{fd}}", "hypercorn", is_asgi=True),
    "daphne": Server(f"daphne --fd={{fd}} -v0 {ASGI}", "daphne", is_asgi=True),
    "granian-asgi": Server(
        f"{GRANIAN} --interface=asgi {ASGI}", "granian", is_asgi=True, by_port=True
    ),
    "granian-asginl": Server(
        f"{GRANIAN} --interface=asginl {ASGI}", "granian", is_asgi=True, by_port=True
    ),
}


def wait_until(holds: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not so after {timeout} s"
        time.sleep(0.01)


def is_installed(server: Server) -> bool:
    """Whether what a server needs can be imported."""
    try:
        return importlib.util.find_spec(server.needs) is not None
    except ModuleNotFoundError:
        return False


def get_kinds(matches: Callable[[Server], bool] = lambda server: True) -> list[Any]:
    """Return servers as parameters of a test; pytest-xdist keeps those of one kind together."""
    return [
        pytest.param(
            kind,
            marks=[
                pytest.mark.xdist_group(kind),
                pytest.mark.skipif(
                    not is_installed(server), reason=f"{server.needs} is not installed"
                ),
            ],
        )
        for kind, server in SERVERS.items()
        if matches(server)
    ]


class Site:
    """The tests' site while a server serves it."""

    def __init__(
        self, kind: str, process: subprocess.Popen[bytes], port: int, log: IO[bytes]
    ) -> None:
        self.kind = kind
        self.server = SERVERS[kind]
        self.process = process
        self.port = port
        self.left = Path(f"{log.name}.left")
        self.ledger = Path(f"{log.name}.ledger")
        self.database = Path(f"{log.name}.sqlite3")
        self._log = log

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)

    def request(
        self,
        method: str,
        path: str,
        connection: http.client.HTTPConnection | None = None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Return the answer to a shopper's request, read to its last byte."""
        used = connection or self.connect()
        try:
            used.request(method, path, headers={"User-Agent": USER_AGENT, **(headers or {})})
            with used.getresponse() as response:
                response.read()
                return response
        finally:
            if connection is None or not self.server.keeps_alive:
                used.close()

    def get(self, path: str, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        return self.request("GET", path, *args, **kwargs)

    def open(self, path: str) -> socket.socket:
        """Send a request, and return the socket on which the answer comes."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {USER_AGENT}\r\n\r\n"
        client.sendall(request.encode())
        return client

    def measure(self, path: str, connection: http.client.HTTPConnection | None = None) -> float:
        """Return the seconds until the last byte of an answer."""
        begun = time.perf_counter()
        assert self.get(path, connection).status == 200
        return time.perf_counter() - begun

    def read_log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def read_ledger(self) -> list[list[str]]:
        """Return what the site says of its events: recorded or a reason, the kind, the id."""
        return [line.split() for line in self.ledger.read_text(encoding="ascii").splitlines()]

    def get_kept_ids(self) -> list[str]:
        """Return the ids of what was recorded and not given up for a reason."""
        ledger = self.read_ledger()
        given_up = {event_id for word, _, event_id in ledger if word != "recorded"}
        return sorted(i for word, _, i in ledger if word == "recorded" and i not in given_up)

    def forget(self) -> None:
        """Begin the account anew."""
        self.left.unlink(missing_ok=True)
        self.ledger.touch()
        os.truncate(self.ledger, 0)

    def wait_until_up(self) -> None:
        """Return when a first page is served."""
        deadline = time.monotonic() + STARTING
        while True:
            assert self.process.poll() is None, "the server has ended"
            try:
                assert self.get("/silent/").status == 200
            except OSError:
                assert time.monotonic() < deadline, "the server has not come up"
                time.sleep(0.05)
            else:
                return

    def stop(self, stop_signal: int = signal.SIGTERM) -> tuple[int, float]:
        """Ask the server to end; return its exit code and the seconds that it took."""
        begun = time.perf_counter()
        self.process.send_signal(stop_signal)
        code = self.process.wait(timeout=20)
        return code, time.perf_counter() - begun


def abort(client: socket.socket) -> None:
    """Close a connection as a crashed browser does: with a reset, whatever was still to come."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@contextmanager
def reserve_socket(is_listening: bool) -> Iterator[socket.socket]:
    """Open a socket on a free port: for a server to use, or to bind beside it."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not is_listening:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as granian does
        bound.bind(("127.0.0.1", 0))
        if is_listening:
            bound.listen(64)
        yield bound


@contextmanager
def serve(
    kind: str,
    log_path: Path,
    more: str = "",
    instead: dict[str, str] | None = None,
    **settings: Any,
) -> Iterator[Site]:
    """Run the site under the server ``kind``; whatever happens, no process is left.

    ``more``: words for its command. ``instead``: what is to stand there, by what stands there.
    """
    server = SERVERS[kind]
    command = server.command
    for old, new in (instead or {}).items():
        command = command.replace(old, new)
    command = f"{command} {more}"
    with reserve_socket(not server.by_port) as bound, log_path.open("wb") as log:
        port: int = bound.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(command.format(fd=bound.fileno(), port=port))],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.servers.project.settings",
                "SITE_SETTINGS": json.dumps(settings),
                "SITE_LEFT": f"{log_path}.left",
                "SITE_LEDGER": f"{log_path}.ledger",
                "SITE_DATABASE": f"{log_path}.sqlite3",
            },
            pass_fds=[bound.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        site = Site(kind, process, port, log)
        try:
            site.wait_until_up()
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
