"""Brokers of a test's own: real ones, on free ports and in folders that go with them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import kombu

from tests.readme import get_free_port

START_SECONDS = 90.0  # two cores, with other things to do
RABBITMQ_FOLDERS = ("/usr/lib/rabbitmq/lib", "/opt/homebrew/opt/rabbitmq")


class Broker:
    """A server that can be stopped, frozen and started again, and then has what it had."""

    kind = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = get_free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        raise NotImplementedError

    def get_commands(self) -> list[list[str]]:
        raise NotImplementedError

    def get_env(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """Start, and return when it answers."""
        env = {**os.environ, **self.get_env()}
        with (self.folder / "log").open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                for command in self.get_commands()
            ]
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            text = (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
            assert time.monotonic() < deadline, text
            assert self._processes[-1].poll() is None, text
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it: connections are refused from now on."""
        for process in reversed(self._processes):
            os.killpg(process.pid, number)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes = []

    @property
    def is_running(self) -> bool:
        return bool(self._processes)

    def freeze(self) -> None:
        """Let it hang: connections are taken, and nothing is answered."""
        os.killpg(self._processes[-1].pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._processes[-1].pid, signal.SIGCONT)

    def close(self) -> None:
        if self._processes:
            self.thaw()
            self.stop(signal.SIGKILL)

    def count_waiting(self, queue: str) -> int:
        """Return how many messages nobody has fetched."""
        with kombu.Connection(self.url) as connection, connection.channel() as channel:
            try:
                size: int = channel.queue_declare(queue, passive=True).message_count
            except connection.channel_errors:
                return 0  # in Redis a queue is gone when it is empty
            return size

    def _answers(self) -> bool:
        try:
            with kombu.Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except Exception:
            return False
        return True


class Redis(Broker):
    kind = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def get_commands(self) -> list[list[str]]:
        # What it has is on the disk before it says so: it is to survive a restart.
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        return [["redis-server", "--port", str(self.port), *options, "--appendfsync", "always"]]


class RabbitMq(Broker):
    kind = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._names_port = get_free_port()
        self._nodes_port = get_free_port()
        (folder / "plugins").write_text("[].\n", encoding="ascii")
        (folder / "rabbitmq.conf").write_text("log.console = true\n", encoding="ascii")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def get_commands(self) -> list[list[str]]:
        # Its register of names as a process of ours, or it would start one that outlives it.
        names = ["epmd", "-port", str(self._names_port), "-address", "127.0.0.1"]
        return [names, [str(find_rabbitmq())]]

    def get_env(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_DIST_PORT": str(self._nodes_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_NODENAME": f"topsort{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 2:2",
        }


BROKERS: dict[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMq}


def find_rabbitmq() -> Path | None:
    """Return the server's own script: Debian's in front of it changes the user and the folders."""
    for folder in RABBITMQ_FOLDERS:
        for found in sorted(Path(folder).glob("**/sbin/rabbitmq-server")):
            return found
    return None


def find_missing(kind: str) -> str:
    """Return what is missing for a broker, "" where it can be started."""
    if kind == "redis":
        return "" if shutil.which("redis-server") else "there is no redis-server"
    if shutil.which("epmd") is None or find_rabbitmq() is None:
        return "there is no rabbitmq-server"
    return ""


def is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
