"""A way to a database server that can be closed: to those who take it, the server restarts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

Address = tuple[str, int] | str
PORTS = {"postgresql": 5432, "mysql": 3306}


class Detour:
    """Forwards connections from a port of 127.0.0.1 to a server's port or socket."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return self._port

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and end those that are there."""
        assert self._listener is not None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End the connections that are there."""
        with self._lock:
            some = list(self._open)
        for one in some:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = self._connect()
                with self._lock:
                    self._open |= {client, server}
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, str):
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            server.connect(self._target)
            return server
        return socket.create_connection(self._target)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            is_last = target not in self._open
            self._open.discard(source)
        if is_last:
            source.close()
            target.close()


def get_address(vendor: str, entry: dict[str, Any]) -> Address:
    """Return where the server of an entry of DATABASES listens."""
    options = entry.get("OPTIONS", {})
    port = int(entry["PORT"] or PORTS[vendor])
    if vendor == "postgresql" and str(options.get("host", "")).startswith("/"):
        return f"{options['host']}/.s.PGSQL.{port}"
    if vendor == "mysql" and "unix_socket" in options:
        return str(options["unix_socket"])
    return entry["HOST"], port


@contextmanager
def make_detour(vendor: str, entry: dict[str, Any]) -> Iterator[tuple[Detour, dict[str, Any]]]:
    """Yield a detour to a database's server, and the entry of DATABASES that takes it."""
    detour = Detour(get_address(vendor, entry))
    detour.open()
    options = {k: v for k, v in entry["OPTIONS"].items() if k not in ("host", "unix_socket")}
    try:
        yield (
            detour,
            {**entry, "HOST": "127.0.0.1", "PORT": str(detour.port), "OPTIONS": options},
        )
    finally:
        with suppress(OSError):
            detour.close()
