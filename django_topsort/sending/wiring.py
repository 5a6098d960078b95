"""What the engine is given from outside: how to post, whom to tell, how much to hold."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

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


class Post(Protocol):
    """How one request is made."""

    def __call__(self, body: bytes, limit: float | None = None, /) -> None:
        """Send one request's body, in ``limit`` seconds where that is less than the usual.

        Raises ApiError.
        """


def _keep(events: Sequence[Event]) -> Sequence[Event]:
    return events


class SenderOptions(Struct, frozen=True):
    """How much is held, how long for, and how it is sent; times in seconds.

    ``idle_seconds``: after which a thread without work ends; the next event starts another.
    """

    queue_size: int = 50_000
    queue_bytes: int = 32 * 1024 * 1024
    flush_interval: float = 0.5
    connections: int = 32
    shutdown_timeout: float = 5.0
    idle_seconds: float = 10.0


class Wiring(Struct, frozen=True):
    """The engine's connections to the rest.

    ``post`` sends one request's body; ``encode`` makes that body; ``report`` hears what became of
    each event; ``options`` is asked at each use. ``overflow`` may take what is about to be given
    up, and returns what it does not take; it may wait for a disk or a database. ``has_overflow``:
    whether there is anybody to take it. ``clock`` gives
    seconds that never go back, and ``rand`` numbers from 0 to 1 that scatter what processes would
    do at the same moment.
    """

    post: Post
    encode: Callable[[EventsRequest], bytes]
    report: Report
    options: Callable[[], SenderOptions]
    overflow: Callable[[Sequence[Event]], Sequence[Event]] = _keep
    has_overflow: Callable[[], bool] = bool
    clock: Callable[[], float] = time.monotonic
    rand: Callable[[], float] = random.random
