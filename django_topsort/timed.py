"""Answers that come by a deadline or not at all."""

from __future__ import annotations

import http.client
import io
import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

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


class Begun:
    """How far a request has come: what was read of its answer, or the error that came instead."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.is_sent = False
        self.read = b""
        self.error: OSError | None = None

    def read_into(self, buffer: memoryview) -> int:
        """Hand over the bytes that were read. Raises the error that came when they were."""
        self.check()
        buffer[: len(self.read)] = self.read
        return len(self.read)

    def check(self) -> None:
        """Raise the error that came, if one did."""
        # The error holds this frame, which would hold the error: neither would be freed in time.
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error


class TimedSocket(io.RawIOBase):
    """What comes from a socket, until a deadline: its own timeout starts anew with each byte.

    It is one answer, and no more of it than ``MAX_READ``. ``begun`` is what was read of it before.
    """

    def __init__(
        self,
        raw: io.RawIOBase,
        connection: socket.socket,
        deadline: Deadline,
        begun: Begun | None,
    ) -> None:
        super().__init__()
        self._raw = raw
        self._connection = connection
        self._deadline = deadline
        self._timeout = connection.gettimeout() or math.inf
        self._begun = begun
        self._left = MAX_READ

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        begun, self._begun = self._begun, None
        if begun is not None:
            count = begun.read_into(memoryview(buffer))
            self._left -= count
            return count
        if self._left <= 0:
            raise OSError("the answer is too long")
        self._connection.settimeout(min(self._timeout, self._deadline.get_left()))
        got = self._raw.readinto(buffer)
        self._left -= got or 0
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """An answer whose head and body must be there by a deadline."""

    def __init__(
        self,
        sock: socket.socket,
        *args: Any,
        deadline: Deadline,
        begun: Begun | None,
        **options: Any,
    ) -> None:
        super().__init__(sock, *args, **options)
        raw: Any = self.fp.detach()
        self.fp = io.BufferedReader(TimedSocket(raw, sock, deadline, begun))
