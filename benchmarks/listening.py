"""The process of the sink: ``python -m benchmarks.listening DELAY``.

One thread with one selector, which does as little as can be done for a request: it looks for the
end of the head, for its length, and keeps all as it is. What it holds is read when it is asked to.

Its first line on stdout is its URL; then, for each line on stdin (``go_down``, ``come_back``,
``count``, ``find_arrivals``, ``take``), the answer as JSON. It ends with its stdin.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from benchmarks.bodies import count_bids, find_arrivals, read_header

RECEIVED = 64 * 1024  # bytes at a time
BACKLOG = 1024  # connections that wait to be accepted
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that breaks off
END = b"\r\n\r\n"


def build_answer(status: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """Return an answer with what HTTP asks of it and no more."""
    if status.startswith("204"):
        return f"HTTP/1.1 {status}\r\n\r\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


# What each service says when it has taken events, by how its address begins.
ANSWERS = (
    (b"/v2/events", build_answer("204 No Content")),  # Topsort
    (b"/track", build_answer("200 OK", b'{"error": null, "status": 1}')),  # Mixpanel, verbose
    (b"/batch", build_answer("200 OK", b'{"status": "Ok"}')),  # PostHog
    (b"/v1/batch", build_answer("200 OK", b'{"success": true}')),  # Segment, RudderStack
    (b"/com.snowplowanalytics.snowplow/", build_answer("200 OK", b"ok", "text/plain")),
    (b"/api/1/envelope/", build_answer("200 OK", b"{}")),  # Sentry
)
OTHER = build_answer("200 OK", b"{}")


def get_answer(head: bytes) -> bytes:
    """Return what the service answers for which a request is meant."""
    path = head[head.index(b" ") + 1 :]
    return next((answer for begin, answer in ANSWERS if path.startswith(begin)), OTHER)


class Connection:
    """One connection: what has come of the request that is under way."""

    __slots__ = ("body", "head", "held", "missing", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.forget()

    def forget(self) -> None:
        """Begin the next request."""
        self.head = b""
        self.held: list[bytes] = []
        self.body = b""
        self.missing = 0  # bytes of the body that are still to come; -1: it comes in chunks

    def feed(self, data: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Take bytes; return head (in lower case), body and what came after, or None until then."""
        if not self.head:
            data = self.body + data
            head, end, data = data.partition(END)
            if not end:
                self.body = head
                return None
            self.head = head.lower()
            self.body = b""
            if b"\r\ntransfer-encoding: chunked" in self.head:
                self.missing = -1
            else:
                self.missing = int(read_header(self.head, b"content-length") or 0)
        if self.missing < 0:
            return self._feed_chunks(data)
        self.held.append(data)
        self.missing -= len(data)
        if self.missing > 0:
            return None
        left = -self.missing
        body = b"".join(self.held)
        done = self.head, body[: len(body) - left], body[len(body) - left :]
        self.forget()
        return done

    def _feed_chunks(self, data: bytes) -> tuple[bytes, bytes, bytes] | None:
        self.body += data
        body, at = [], 0
        while (end := self.body.find(b"\r\n", at)) >= 0:
            size = int(self.body[at:end].partition(b";")[0], 16)
            at = end + 2 + size + 2
            if len(self.body) < at:
                break
            body.append(self.body[end + 2 : at - 2])
            if not size:
                done = self.head, b"".join(body), self.body[at:]
                self.forget()
                return done
        return None


class Listener:
    """The server. Requests are taken when they have come, and those that it never answers are not.

    ``delay``: seconds between a request's last byte and its answer.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.taken: list[tuple[bytes, bytes]] = []
        self.times: list[float] = []
        self.first = self.last = 0.0
        self.waiting: deque[tuple[float, Connection, bytes, bytes]] = deque()
        self.connections: set[Connection] = set()
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "stdin")
        self.bind(("127.0.0.1", 0))
        self.come_back()

    def bind(self, address: tuple[str, int]) -> None:
        """Have an address; until it is listened at, the system refuses connections to it."""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setblocking(False)
        self.socket.bind(address)

    def run(self) -> None:
        """Serve until stdin ends."""
        say("http://{}:{}".format(*self.socket.getsockname()))
        while True:
            for key, _ in self.selector.select(self.get_patience()):
                if key.data is None:
                    self.accept()
                elif key.data == "stdin":
                    if not self.obey():
                        return
                else:
                    self.receive(key.data)
            self.answer_due()

    def get_patience(self) -> float | None:
        """Return how many seconds there are until an answer is due, None where none is."""
        return max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None

    def obey(self) -> bool:
        """Do what the lines on stdin say; return whether there may be more."""
        lines = os.read(sys.stdin.fileno(), RECEIVED).split()
        for line in lines:
            say(getattr(self, line.decode())())
        return bool(lines)

    def accept(self) -> None:
        """Accept who is there."""
        with suppress(OSError):  # nobody any more
            while True:
                connected, _ = self.socket.accept()
                connected.setblocking(False)
                connection = Connection(connected)
                self.connections.add(connection)
                self.selector.register(connected, selectors.EVENT_READ, connection)

    def receive(self, connection: Connection) -> None:
        """Take what has come; several requests may have."""
        if connection not in self.connections:
            return  # dropped after it was seen to have something
        try:
            data = connection.socket.recv(RECEIVED)
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
        while data and (done := connection.feed(data)):
            head, body, data = done
            now = time.monotonic()
            if self.delay:
                self.waiting.append((now + self.delay, connection, head, body))
            else:
                self.answer(now, connection, head, body)

    def answer_due(self) -> None:
        """Send the answers whose time has come: they are all delayed equally, so in their order."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            due, connection, head, body = self.waiting.popleft()
            self.answer(due - self.delay, connection, head, body)

    def answer(self, came: float, connection: Connection, head: bytes, body: bytes) -> None:
        """Take a request that came at ``came``, and say so."""
        self.first = self.first or came
        self.last = came
        self.taken.append((head, body))
        self.times.append(came)
        with suppress(OSError):  # who has left does not hear it
            connection.socket.send(get_answer(head))

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self.connections.discard(connection)
        self.selector.unregister(connection.socket)
        connection.socket.close()

    def go_down(self) -> None:
        """Refuse connections and break off those that are open."""
        address = self.socket.getsockname()
        self.selector.unregister(self.socket)
        self.socket.close()
        self.bind(address)
        for connection in list(self.connections):
            with suppress(OSError):
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.drop(connection)
        self.waiting.clear()

    def come_back(self) -> None:
        """Listen at the address that it has."""
        self.socket.listen(BACKLOG)
        self.selector.register(self.socket, selectors.EVENT_READ)

    def count(self) -> int:
        """Return how many requests were answered."""
        return len(self.taken)

    def find_arrivals(self) -> dict[str, float]:
        """Return when each bid came first."""
        return find_arrivals(self.taken, self.times)

    def take(self) -> dict[str, Any]:
        """Return what ``sink.Taken`` holds."""
        return {
            "requests": len(self.taken),
            "bytes": sum(len(body) for _, body in self.taken),
            "bids": count_bids(self.taken),
            "first": self.first,
            "last": self.last,
        }


def say(answer: object) -> None:
    """Write an answer to whom has started this process."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    gc.disable()  # it keeps everything, and makes no cycles
    Listener(float(sys.argv[1])).run()
