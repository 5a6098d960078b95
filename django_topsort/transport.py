"""One kept-alive connection to Topsort, whose answers come by a deadline or not at all."""

from __future__ import annotations

import http.client
import io
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

EVENTS_PATH = "/v2/events"  # a slash at its end is answered with 404
LINKS_PATH = "/v2/events/beta/link-users"
# Bytes read of an answer, with its head, which http.client would take up to 6 MiB of.
MAX_READ = 256 * 1024


class Deadline:
    """By when an answer must have come in full, however small the parts are in which it comes."""

    def __init__(self) -> None:
        self._end = 0.0
        self._after_connecting = 0.0

    def set(self, seconds: float, after_connecting: float = 0.0) -> None:
        """Let the time end in so many seconds, and not before so many after a connection is made.

        How long a name takes to be looked up is in nobody's hands. Where it takes longer than all
        the rest may, the answer would else be always too late, and the events never settled.
        """
        self._end = time.monotonic() + seconds
        self._after_connecting = after_connecting

    def note_connection(self) -> None:
        """Say that a connection has just been made."""
        self._end = max(self._end, time.monotonic() + self._after_connecting)

    def get_left(self) -> float:
        """Return the seconds that are left. Raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        return left


class TimedSocket(io.RawIOBase):
    """What comes from a socket, until a deadline: its own timeout starts anew with each byte.

    It is one answer, and no more of it than ``MAX_READ``.
    """

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._raw = raw
        self._connection = connection
        self._deadline = deadline
        self._timeout = connection.gettimeout() or math.inf
        self._left = MAX_READ

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if self._left <= 0:
            raise OSError("the answer is too long")
        self._connection.settimeout(min(self._timeout, self._deadline.get_left()))
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """An answer whose head and body must be there by a deadline."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        raw: Any = self.fp.detach()
        self.fp = io.BufferedReader(TimedSocket(raw, sock, deadline))


class EventsConnection:
    """What is laid over the connection's class of urllib3, for http or https."""

    debuglevel = 0  # http.client's debugging prints heads, with the key in them
    deadline: Deadline
    _rest = b""

    def connect(self) -> None:
        """Connect, and say so."""
        super().connect()  # type: ignore[misc]
        self.deadline.note_connection()

    def request(self, method: str, url: str, body: bytes = b"", **options: Any) -> None:
        """Send a request: head and body at once, which is one system call and one packet less."""
        self._rest = body
        super().request(method, url, body=None, **options)  # type: ignore[misc]

    def send(self, data: bytes) -> None:
        """Send the head, and the body with it."""
        rest, self._rest = self._rest, b""
        super().send(data + rest)  # type: ignore[misc]


class Answer(requests.Response):
    """An answer as far as anybody looks at it; tools that record requests look at its request."""

    def __init__(self, path: str) -> None:
        """Leave out what requests prepares: a cookie jar, a history, a clock."""
        self.url = path


class EventsAdapter(HTTPAdapter):
    """One connection to one host, for one path, and no more work per request than it takes.

    requests looks the pool up by the request's URL, looks for the certificates' file and builds a
    Response with a cookie jar, each time; together as dear as the request.
    """

    def __init__(self, deadline: Deadline, path: str) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._deadline = deadline
        self._path = path
        self._pool: Any = None

    def drop(self) -> None:
        """Close the connection; the next request opens another."""
        self.poolmanager.clear()
        self._pool = None

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        if self._pool is None:
            pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
            self._pool = pool
            answer_class = partial(TimedResponse, deadline=self._deadline)
            pool.ConnectionCls = type(
                "EventsConnection",
                (EventsConnection, pool.ConnectionCls),
                {"response_class": staticmethod(answer_class), "deadline": self._deadline},
            )
        return self._pool

    def cert_verify(self, *args: Any) -> None:
        """Do nothing: the pool has been told, when it was made."""

    def request_url(self, *args: Any) -> str:
        return self._path

    def build_response(self, req: Any, resp: Any) -> Any:
        answer = Answer(self._path)
        answer.status_code = resp.status
        answer.headers = resp.headers
        answer.raw = resp
        answer.request = req
        return answer
