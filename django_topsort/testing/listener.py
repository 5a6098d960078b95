"""The socket under a FakeApi: one thread per connection, ended when it is closed."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any

from django_topsort.testing.conversation import GLANCE, Conversation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_topsort.testing.answers import Desk

logger = logging.getLogger(__name__)


class Listener(socketserver.TCPServer):
    """Accepts connections on one port until it is closed, which ends its connections too."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, desk: Desk, reserved: socket.socket, connections: Iterator[int]) -> None:
        super().__init__(reserved.getsockname(), Conversation, bind_and_activate=False)
        self.socket.close()
        self.socket = reserved
        self.server_activate()
        self.desk = desk
        self.stopping = threading.Event()
        self._numbers_left = connections
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(GLANCE,), name="topsort-fake-api", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end every connection; returns when all its threads have ended."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
        self.drop_connections()
        for thread in self._threads:
            thread.join(5)

    def drop_connections(self) -> None:
        """Close the connections that are open."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # it has just ended by itself
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="topsort-fake-api", daemon=True
        )
        with self._lock:
            self._open.add(request)
        self._threads = {one for one in self._threads if one.is_alive()} | {thread}
        thread.start()

    def number_connection(self) -> int:
        """Return the number of a connection that has just been opened."""
        return next(self._numbers_left)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except ConnectionError:
            pass  # a client that leaves while it is answered is no mistake
        except Exception:
            logger.exception("fake api: a connection broke down")
        finally:
            with self._lock:
                self._open.remove(request)
            request.close()
