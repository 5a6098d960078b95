"""A request and its answer over a kept connection, in few steps.

Nearly all requests go over a connection that is open, and nearly all answers are a 204 in one
piece. For those, what http.client and urllib3 do is many times as dear as the two system calls.
Whatever is out of the ordinary they take over, from where it stands.
"""

from __future__ import annotations

import logging
import queue
import re
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from urllib3.connectionpool import log as urllib3_log

from django_topsort.timed import Begun, Deadline, TimedResponse

READ_SIZE = 4096  # bytes read at first; no more than the buffer of a reader holds

# An answer that is all there, and after which the connection is as good as before: a 204 with a
# head in which nothing is odd, says anything of a body or of the connection's end.
PLAIN = re.compile(
    rb"HTTP/1\.1 204(?: [\t -~]*)?\r\n"
    rb"(?:(?:Connection:[\t ]*keep-alive[\t ]*|Content-Length:[\t ]*0[\t ]*"
    rb"|(?!(?:Connection|Content-Length|Transfer-Encoding):)[!#-'*+.^-`|~\w-]+:[\t -~]*)\r\n){0,99}"
    rb"\r\n",
    re.IGNORECASE,
)


class SecretBytes(bytes):
    """Bytes that do not show themselves in the locals of a traceback."""

    def __repr__(self) -> str:
        return "b'********'"


class Head:
    """A request's head as http.client has written it, to be written again for other bodies."""

    def __init__(self, sent: bytes, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        size = headers.get("Content-Length", "")
        before, _, after = sent.partition(b"\r\nContent-Length: %b\r\n" % size.encode())
        self._before = SecretBytes(before + b"\r\nContent-Length: ")
        self._after = SecretBytes(b"\r\n" + after)
        # The first line, the host's, those of the headers and an empty one. Where a tool has added
        # its own on the way, to trace a request, they are of that request alone.
        self._is_ours = bool(after) and sent.count(b"\r\n") == len(headers) + 3

    def fits(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers has this head, but for its body's size."""
        self._headers["Content-Length"] = headers.get("Content-Length", "")
        return self._is_ours and self._headers == headers

    def write(self, body: bytes) -> SecretBytes:
        """Return a whole request."""
        return SecretBytes(b"%b%d%b%b" % (self._before, len(body), self._after, body))


class EventsConnection:
    """What is laid over the connection's class of urllib3, for http or https."""

    debuglevel = 0  # http.client's debugging prints heads, with the key in them
    deadline: Deadline
    sock: Any
    head: Any = None  # the Head of the requests, once one has been sent
    _headers: Mapping[str, str]
    _rest = b""
    _begun: Begun | None = None

    def connect(self) -> None:
        """Connect, and say so."""
        super().connect()  # type: ignore[misc]
        self.deadline.note_connection()

    def close(self) -> None:
        """Close the connection, and forget the request that was begun on it."""
        self._begun = None
        super().close()  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open, and nothing has come on it that nobody asked for."""
        # Once a request has been sent, what comes is its answer. urllib3 1 has no such property.
        if self._begun is None:
            # What TLS has decrypted is no longer seen on the socket, where urllib3 looks.
            pending = getattr(self.sock, "pending", None)
            return getattr(super(), "is_connected", False) and not (pending and pending())
        return True

    def begin(self, body: bytes, connect: float, read: float) -> bool:
        """Send a request, and return whether its answer was a 204 and nothing but that.

        Where it was not, ``request`` and ``getresponse`` go on with what has been begun here. The
        timeouts are in seconds.
        """
        begun = self._begun = Begun(body)
        try:
            self.sock.settimeout(connect)
            self.sock.sendall(self.head.write(body))
            begun.is_sent = True
            self.sock.settimeout(min(read, self.deadline.get_left()))
            begun.read = self.sock.recv(READ_SIZE)
        except OSError as error:
            begun.error = error
            return False
        if PLAIN.fullmatch(begun.read) is None:
            return False
        self._begun = None
        return True

    def can_begin(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers can be begun: the connection is warm.

        Not where another tool has its hand in the connection, or its class is one of urllib3 1.
        """
        return (
            self.head is not None
            and self.head.fits(headers)
            and isinstance(self.sock, socket.socket)
            and self._begun is None
            and self.is_connected
        )

    def request(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        """Send a request: head and body at once, which is one system call and one packet less."""
        if self._begun is not None and self._begun.body is not body:
            self.close()  # what comes is not the answer to this request; it opens a connection
        self._headers = headers
        self._rest = body
        super().request(method, url, body=None, headers=headers, **options)  # type: ignore[misc]

    def send(self, data: bytes) -> None:
        """Send the head, and the body with it."""
        rest, self._rest = self._rest, b""
        begun = self._begun
        if begun is not None and begun.is_sent:
            return
        if begun is not None:
            self._begun = None  # there may be an answer none the less, of which nothing was read
            begun.check()
        self.head = Head(data, self._headers)
        super().send(data + rest)  # type: ignore[misc]

    def response_class(self, sock: socket.socket, *args: Any, **options: Any) -> TimedResponse:
        """Return what reads the answer."""
        begun, self._begun = self._begun, None
        return TimedResponse(sock, *args, deadline=self.deadline, begun=begun, **options)


class Taken:
    """A 204, as far as anybody looks at it."""

    status = 204
    headers: Mapping[str, str] = MappingProxyType({})

    def read(self, size: int) -> bytes:
        """Return the body, which a 204 has not."""
        return b""

    def close(self) -> None:
        """Do nothing: the connection is with the others that are kept."""


TAKEN = Taken()


class EventsPool:
    """A pool of urllib3's, past which a request goes that needs nothing of it."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def close(self) -> None:
        """Close the connection, whoever may still hold the pool, such as a traceback's frames.

        One that is in use stays open: this may be called by a signal's handler.
        """
        connection = self._pop()
        if connection is not None:
            connection.close()

    def urlopen(self, **options: Any) -> Any:
        """Send a request and return its answer. Raises what urllib3's pool raises."""
        connection = self._take_kept(options["headers"])
        if connection is None:
            return self._pool.urlopen(**options)
        timeout = options["timeout"]
        try:
            is_taken = connection.begin(
                options["body"], timeout.connect_timeout, timeout.read_timeout
            )
            self._keep(connection)
            return TAKEN if is_taken else self._pool.urlopen(**options)
        except BaseException:
            connection.close()
            raise

    def _take_kept(self, headers: Mapping[str, str]) -> Any:
        """Return the connection that is kept, or None where the request must go the long way."""
        if urllib3_log.isEnabledFor(logging.DEBUG):
            return None  # urllib3 writes a line for each request, when it is told to
        connection = self._pop()
        if connection is None or connection.can_begin(headers):
            return connection
        self._keep(connection)
        return None

    def _pop(self) -> Any:
        try:
            return self._pool.pool.get_nowait()
        except queue.Empty:
            return None

    def _keep(self, connection: Any) -> None:
        try:
            self._pool.pool.put_nowait(connection)
        except queue.Full:  # a signal's handler has posted meanwhile, over a connection of its own
            connection.close()
