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

from walkthrough.exceptions import DemoError

PROJECT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0  # seconds; a cold start on a busy machine takes a few
STOP_TIMEOUT = 5.0


@dataclass(frozen=True)
class Site:
    """Where the two servers of the demo answer."""

    shop_url: str
    api_url: str


@dataclass(frozen=True)
class Server:
    """A server that has been started, and the file to which it writes."""

    process: subprocess.Popen[bytes]
    log: Path


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
        "TOPSORT_API_KEY": "TSE_development",
        "NO_PROXY": "127.0.0.1",  # both servers are on this machine, whatever the proxy is
        "no_proxy": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }
    with ExitStack() as stack:
        arguments = ["topsort_fake_api", "--port", str(api_port)]
        api = stack.enter_context(start("fake API", arguments, environment, directory))
        run(["migrate", "--verbosity", "0"], environment)
        run(["seed"], environment)
        arguments = ["runserver", "--noreload", f"127.0.0.1:{shop_port}"]
        shop = stack.enter_context(start("shop", arguments, environment, directory))
        wait_until_it_listens(api, api_port)
        wait_until_it_listens(shop, shop_port)
        try:
            yield site
        except DemoError as error:
            tails = [get_tail(log) for log in sorted(directory.glob("*.log"))]
            raise DemoError("\n\n".join([str(error), *tails])) from error


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
    name: str, arguments: list[str], environment: Mapping[str, str], directory: Path
) -> Iterator[Server]:
    """Run a server until the block ends, however it ends."""
    log = directory / f"{name}.log"
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
        yield Server(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_it_listens(server: Server, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while (code := server.process.poll()) is None and time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    why = "has not started" if code is None else f"ended with code {code}"
    raise DemoError(f"The {server.log.stem} {why}.\n\n{get_tail(server.log)}")


def get_tail(log: Path, lines: int = 30) -> str:
    """The end of a server's log."""
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join([f"The end of the log of the {log.stem}:", *(f"  {line}" for line in tail)])


def get_free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
