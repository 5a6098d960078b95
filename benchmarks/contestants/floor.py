"""The floor: the least that could deliver events at all, to see how far above it a client is."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from benchmarks.contestants.impressions import CHANNEL, DEVICE_TYPE, PAGE, PAGE_SIZE, PATH, USER

if TYPE_CHECKING:
    from benchmarks.contestants.structs import Impression

BATCH = 50  # events in a request: Topsort's limit
PATIENCE = 0.5  # seconds after which a batch goes that is not full
NAP = 0.005  # seconds between two looks at the queue


class Contestant:
    """An event as a struct on a deque, one thread, msgspec, ``http.client``, no error handling.

    One clock reading and one piece of randomness a page; ids go on from there. Nothing is checked,
    bounded, tried again, or kept through a fork or an exit.
    """

    requirement = "msgspec"

    def start(self, url: str) -> None:
        """Start the thread."""
        from http.client import HTTPConnection
        from urllib.parse import urlsplit

        from benchmarks.contestants.structs import Impression, Placement, encode

        self._impression, self._placement, self._encode = Impression, Placement, encode
        self._queue: deque[Impression] = deque()
        self._is_urgent = False
        self._is_idle = True
        self._connection = HTTPConnection(urlsplit(url).netloc)
        threading.Thread(target=self._send, daemon=True).start()

    def begin_page(self) -> None:
        """Note what all events of a page have in common."""
        self._stem = os.urandom(8).hex()
        self._now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def record(self, bid: str, position: int) -> None:
        """Append one event."""
        self._queue.append(
            self._impression(
                f"{self._stem}-{position}",
                self._now,
                USER,
                bid,
                self._placement(PATH, position, PAGE, PAGE_SIZE),
                DEVICE_TYPE,
                CHANNEL,
            )
        )

    def end_page(self) -> None:
        """Do nothing: the thread looks for itself."""

    def flush(self, timeout: float) -> None:
        """Wait until the queue is empty."""
        self._is_urgent = True
        deadline = time.monotonic() + timeout
        while (self._queue or not self._is_idle) and time.monotonic() < deadline:
            time.sleep(NAP / 5)
        self._is_urgent = False

    def _send(self) -> None:
        queue = self._queue
        headers = {"Content-Type": "application/json", "Authorization": "Bearer TSE_benchmarks"}
        since = time.monotonic()
        while True:
            waited = time.monotonic() - since
            if len(queue) < BATCH and not (queue and (self._is_urgent or waited > PATIENCE)):
                self._is_idle = True
                time.sleep(NAP)
                continue
            self._is_idle = False
            batch = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
            body = self._encode({"impressions": batch})
            self._connection.request("POST", "/v2/events", body, headers)
            self._connection.getresponse().read()
            since = time.monotonic()
