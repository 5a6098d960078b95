"""One connection to a FakeApi: reads a request, asks the desk, writes the answer, and again."""

from __future__ import annotations

import logging
import math
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from django_topsort.testing.answers import Answer
from django_topsort.testing.faults import ActiveFault, Fault
from django_topsort.testing.ledger import ReceivedRequest
from django_topsort.testing.rules import Verdict

if TYPE_CHECKING:
    from django_topsort.testing.listener import Listener

logger = logging.getLogger(__name__)

# How often a thread that waits looks whether it may end: short enough for stop() to seem at once.
GLANCE = 0.02
CHUNK = 64 * 1024
BAD_REQUEST = "bad_request"
NO_FAULT = Fault()


class Conversation(BaseHTTPRequestHandler):
    """The handler that http.server makes for each connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener
    connection: socket.socket

    def setup(self) -> None:
        super().setup()
        self.desk = self.server.desk
        self.number = self.server.number_connection()
        self.nth = 0

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        logger.debug("fake api: %s", format % args)

    def answer_request(self) -> None:
        """Read the body, and answer as the desk and the fault in force say."""
        body, refusal = self._read_body()
        page = self.desk.get_page(self.command, self.path)
        if page is not None:
            self._write(page, NO_FAULT, threading.Event())
            return
        self.nth += 1
        request = ReceivedRequest(
            connection=self.number,
            nth=self.nth,
            method=self.command,
            path=self.path,
            headers=self.headers,
            body=body,
        )
        active = self.desk.receive(request)
        if active is None:
            self._answer_honestly(request, refusal, NO_FAULT, threading.Event())
        else:
            self._show(request, refusal, active)

    def _show(self, request: ReceivedRequest, refusal: Verdict | None, active: ActiveFault) -> None:
        fault = active.fault
        if not self._wait(fault.delay, active.released):
            self.desk.settle(request, None, f"{fault.verdict}: the connection ended meanwhile")
            self.close_connection = True
        elif fault.status is None:
            self._answer_honestly(request, refusal, fault, active.released)
        else:
            self.desk.settle(request, fault.status if fault.cut_at is None else None, fault.verdict)
            headers = fault.headers
            answer = Answer(
                status=fault.status,
                body=fault.body,
                headers=tuple(headers.items() if isinstance(headers, Mapping) else headers),
                padding=fault.padding,
            )
            self._write(answer, fault, active.released)

    def _answer_honestly(
        self,
        request: ReceivedRequest,
        refusal: Verdict | None,
        fault: Fault,
        released: threading.Event,
    ) -> None:
        verdict = refusal or self.desk.judge(request)
        if fault.cut_at is None:
            self.desk.settle(request, verdict.status, verdict.text)
        else:
            self.desk.settle(request, None, f"{fault.verdict} ({verdict.status} {verdict.text})")
        headers = (("Allow", "POST"),) if verdict.status == 405 else ()
        answer = Answer(status=verdict.status, body=verdict.body, headers=headers)
        self._write(answer, fault, released)

    def _read_body(self) -> tuple[bytes, Verdict | None]:
        """Return the body, and why the request is refused before anybody looks at it."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.close_connection = True  # nobody knows where the next request begins
            return b"", Verdict(status=411, text="it needs a Content-Length", err_code=BAD_REQUEST)
        size = int(length)
        if size <= self.desk.max_body_size:
            body = self.rfile.read(size)
            if len(body) == size:
                return body, None
            self.close_connection = True
            return body, Verdict(status=400, text="the body ended early", err_code=BAD_REQUEST)
        left = size
        while left and (chunk := self.rfile.read(min(left, CHUNK))):
            left -= len(chunk)  # read on: a client that still writes would not see the answer
        self.close_connection = bool(left)
        text = f"the body has {size} bytes, at most {self.desk.max_body_size} are taken"
        return b"", Verdict(status=413, text=text, err_code=BAD_REQUEST)

    def _write(self, answer: Answer, fault: Fault, released: threading.Event) -> None:
        """Write the answer as far as the fault lets it come, and end the connection if it must."""
        data = answer.build_head(close=self.close_connection)
        total = len(data)
        if self.command != "HEAD":
            data += answer.body
            total = len(data) + answer.padding
        if fault.cut_at is not None:
            total = min(total, fault.cut_at)
        size = 1 if fault.drip else CHUNK
        sent = 0
        while sent < total:
            piece = (data[sent : sent + size] or b"." * size)[: total - sent]
            self.wfile.write(piece)
            sent += len(piece)
            if not self._wait(fault.drip, released):
                self.close_connection = True
                return
        if fault.end == "hang":
            self._wait(math.inf, released)
        if fault.end == "reset":
            # Lingering for no time at all makes the kernel send RST instead of FIN at close().
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if fault.end != "keep":
            self.close_connection = True

    def _wait(self, seconds: float, released: threading.Event) -> bool:
        """Wait, at most until the fault is released; False when the connection has ended."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if released.wait(min(left, GLANCE)):
                return True
            if self.server.stopping.is_set() or self._is_client_gone():
                return False
        return True

    def _is_client_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""


# http.server calls do_GET and so on; whatever the method, the desk has the answer.
for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"):
    setattr(Conversation, f"do_{_method}", Conversation.answer_request)
