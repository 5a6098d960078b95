"""The programs behind the demo: `manage.py` commands, each in a process and with a log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0  # seconds; a cold start on a busy machine takes a few
STOP_TIMEOUT = 5.0


class DemoError(Exception):
    """The demo cannot go on; the message says why, for people."""


@dataclass(frozen=True)
class Site:
    """Where the two servers of the demo answer."""

    shop_url: str
    api_url: str


@contextmanager
def serve_site(directory: Path) -> Iterator[Site]:
    """Run the shop, with a new database in `directory`, and the fake API that it reports to."""
    shop_port, api_port = get_free_ports(2)
    site = Site(f"http://127.0.0.1:{shop_port}/", f"http://127.0.0.1:{api_port}")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "marketplace.settings",
        "SHOP_DEBUG": "1",
        "SHOP_DATABASE": str(directory / "shop.sqlite3"),
        "TOPSORT_API_URL": site.api_url,
        "TOPSORT_API_KEY": "TSE_demo",
        "NO_PROXY": "127.0.0.1",  # both servers are on this machine, whatever the proxy is
        "no_proxy": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }
    run(["migrate", "--verbosity", "0"], environment)
    run(["seed"], environment)
    with ExitStack() as stack:
        for name, port, arguments in (
            ("fake API", api_port, ["topsort_fake_api", "--port", str(api_port)]),
            ("shop", shop_port, ["runserver", "--noreload", f"127.0.0.1:{shop_port}"]),
        ):
            log = directory / f"{name}.log"
            server = stack.enter_context(start(arguments, environment, log))
            wait_until_it_listens(name, server, port, log)
        try:
            yield site
        except Exception as error:
            log = directory / "shop.log"
            raise DemoError(f"{error}\n{get_tail('shop', log)}") from error


def run(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise DemoError(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def start(
    arguments: list[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, however it ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_it_listens(name: str, server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    why = "has not started" if server.poll() is None else f"ended with code {server.returncode}"
    raise DemoError(f"The {name} {why}.\n{get_tail(name, log)}")


def get_tail(name: str, log: Path, lines: int = 30) -> str:
    """The end of a server's log."""
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join([f"The last lines of the log of the {name}:", *(f"  {line}" for line in tail)])


def get_free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
