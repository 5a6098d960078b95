"""Tells an engine that there is something in the outbox: with a commit, not with each of many."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial

from django.utils.module_loading import import_string

from django_topsort.conf import RELAYS
from django_topsort.delivery import log_safely
from django_topsort.sending.publisher import Publisher

INTERVAL = 1.0  # seconds between two tasks of one process, at least


class Nudger:
    """Has one task published for all commits of a second; whoever commits waits for 50 ms at most.

    A nudge that the broker does not take is no loss: the periodic task finds the rows.
    """

    def __init__(
        self, publish: Callable[[float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due = -INTERVAL  # when the last task begins that was published, or has begun
        self._publisher = Publisher(
            publish, lambda events: None, lambda events: None, _say_failed, clock=clock
        )

    def nudge(self) -> None:
        """See to it that a task begins after now."""
        with self._lock:
            now = self._clock()
            if now < self._due:
                return
            delay = max(0.0, self._due + INTERVAL - now)
            before, self._due = self._due, now + delay
        if not self._publisher.put(delay, ()):
            with self._lock:
                self._due = before

    def close(self) -> None:
        """Publish nothing more."""
        self._publisher.close(0.0)


def _say_failed(error: BaseException, count: int) -> None:
    name = type(error).__name__
    said = "outbox: the engine was not told error=%s; its periodic task finds the rows"
    log_safely(logging.WARNING, ("nudge", name), said, name)


_nudgers: dict[tuple[int, str], Nudger] = {}


def get_nudger(engine: str) -> Nudger:
    """Return this process's nudger of ``engine``, one of ``RELAYS``. A fork may be silent."""
    key = (os.getpid(), engine)
    nudger = _nudgers.get(key)
    if nudger is None:
        publish = partial(_publish, RELAYS[engine])
        nudger = _nudgers.setdefault(key, Nudger(publish))
        for other in [known for known in list(_nudgers) if known[0] != key[0]]:
            _nudgers.pop(other, None)
    return nudger


def close_nudger(engine: str) -> None:
    """Let this process tell ``engine`` nothing more; the next commit would make a new nudger."""
    nudger = _nudgers.pop((os.getpid(), engine), None)
    if nudger is not None:
        nudger.close()


def _publish(path: str, delay: float) -> None:
    import_string(path)(delay)
