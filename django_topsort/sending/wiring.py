"""What the engine is given from outside: how to post, whom to tell, how much to hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.exceptions import ApiError
    from django_topsort.wire import EventsRequest


class Report(Protocol):
    """What the engine tells of events, to whoever counts and announces it."""

    def delivered(self, events: Sequence[Event]) -> None:
        """Topsort has taken ``events``."""

    def rejected(self, events: Sequence[Event], error: ApiError) -> None:
        """Topsort has refused ``events``."""

    def dropped(self, events: Sequence[Event], reason: str) -> None:
        """``events`` are given up."""

    def failed(self, error: ApiError, count: int) -> None:
        """A request failed; ``count`` events wait for another."""


@dataclass(frozen=True)
class SenderOptions:
    """How much is held, how long for, and how it is sent; times in seconds."""

    queue_size: int = 50_000
    queue_bytes: int = 32 * 1024 * 1024
    flush_interval: float = 0.5
    connections: int = 8
    shutdown_timeout: float = 5.0


@dataclass(frozen=True)
class Wiring:
    """``post`` sends one request's body and raises ApiError; ``encode`` makes that body; ``report``
    hears what became of each event; ``options`` is asked at each use.
    """

    post: Callable[[bytes], None]
    encode: Callable[[EventsRequest], bytes]
    report: Report
    options: Callable[[], SenderOptions]
    clock: Callable[[], float] = time.monotonic
