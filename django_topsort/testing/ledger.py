"""What a FakeApi remembers: the requests that came, the events that it took, in order."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from email.message import Message

KEEP_BYTES = 64 * 1024 * 1024
NOT_ANSWERED = "not answered yet"


class ReceivedEvent(dict[str, Any]):
    """An event that was taken: the JSON object as it came, prices as ``Decimal`` or ``int``.

    ``kind`` is the array in which it came (``"impressions"``, ``"clicks"``, ``"purchases"`` or
    ``"pageviews"``), ``time`` when, and ``request_number`` with which request.
    """

    def __init__(self, kind: str, event: dict[str, Any], request: ReceivedRequest) -> None:
        super().__init__(event)
        self.kind = kind
        self.time = request.time
        self.request_number = request.number


@dataclass(kw_only=True, eq=False)
class ReceivedRequest:
    """A request that came, from its arrival on, and how it was answered.

    ``connection`` numbers the TCP connections from 1, ``nth`` the requests of one connection, and
    ``number`` all requests.
    ``status`` is None as long as it was not answered, or if it never is; ``verdict`` says why it
    was answered so. ``taken`` says how many events of each kind were recorded from it, without
    those that were known already.
    """

    connection: int
    nth: int
    method: str
    path: str
    headers: Message
    body: bytes
    number: int = 0
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: int | None = None
    verdict: str = NOT_ANSWERED
    taken: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        # Plain ASCII, because it is printed in terminals and the path is anybody's text.
        status = "-" if self.status is None else self.status
        line = f"{self.method} {self.path} {status} {self.verdict}"
        return ascii(line)[1:-1].replace("\\'", "'")


class Ledger:
    """Holds the last ``keep`` requests and events, and no more than 64 MiB of request bodies.

    What is older is forgotten, except in ``counts``. The ids of ten times as many events are
    known, to tell those that come again.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._changed = threading.Condition()
        self.clear()

    def clear(self) -> None:
        """Forget everything that came."""
        with self._changed:
            self.requests: deque[ReceivedRequest] = deque()
            self.events: deque[ReceivedEvent] = deque(maxlen=self._keep)
            self.links: deque[dict[str, str]] = deque(maxlen=self._keep)
            self.repeated: deque[str] = deque(maxlen=self._keep)
            self.altered: deque[str] = deque(maxlen=self._keep)
            self.counts: Counter[str] = Counter()
            self.requests_count = 0
            self._known: dict[tuple[str, str], bytes] = {}
            self._body_bytes = 0
            self._touch()

    def add_request(self, request: ReceivedRequest) -> None:
        """Remember a request that has just come."""
        with self._changed:
            self.requests.append(request)
            self.requests_count += 1
            request.number = self.requests_count
            self._body_bytes += len(request.body)
            while len(self.requests) > self._keep or (
                self._body_bytes > KEEP_BYTES and len(self.requests) > 1
            ):
                self._body_bytes -= len(self.requests.popleft().body)
            self._touch()

    def take(self, request: ReceivedRequest, events: Iterable[tuple[str, dict[str, Any]]]) -> int:
        """Record the events of a request, except those whose kind and id were recorded before.

        Returns how many of them came before.
        """
        repeated = 0
        with self._changed:
            for kind, event in events:
                key = (kind, event["id"])
                digest = hashlib.sha256(json.dumps(event, default=str).encode()).digest()
                known = self._known.setdefault(key, digest)
                if known is not digest:
                    repeated += 1
                    self.repeated.append(event["id"])
                    if known != digest:
                        self.altered.append(event["id"])
                    continue
                if len(self._known) > 10 * self._keep:
                    del self._known[next(iter(self._known))]
                self.events.append(ReceivedEvent(kind, event, request))
                self.counts[kind] += 1
                request.taken[kind] += 1
            self._touch()
        return repeated

    def take_link(self, link: dict[str, str]) -> None:
        """Record that two users are one."""
        with self._changed:
            self.links.append(link)
            self._touch()

    def settle(self, request: ReceivedRequest, status: int | None, verdict: str) -> None:
        """Write down how a request was answered."""
        with self._changed:
            request.status = status
            request.verdict = verdict
            self._touch()

    def count(self, kind: str | None = None) -> int:
        """Return how many events (of one kind) were taken, also those forgotten since."""
        return self.counts.total() if kind is None else self.counts[kind]

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``condition()`` holds, at most ``timeout`` seconds; tell whether it does."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def read(self, reader: Callable[[], Any]) -> Any:
        """Return what ``reader()`` returns, called while nothing can change."""
        with self._changed:
            return reader()

    def _touch(self) -> None:
        self.version = getattr(self, "version", 0) + 1
        self._changed.notify_all()
