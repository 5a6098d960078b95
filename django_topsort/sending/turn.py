"""A lock that knows its thread, and on which threads wait for one another."""

from __future__ import annotations

import threading


class Turn:
    """A lock that knows its thread.

    Garbage collection, a signal handler or a log handler may record an event in the midst of our
    own critical section. ``is_mine`` tells that case, and the event goes aside.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._owner: int | None = None

    def __enter__(self) -> None:
        self._condition.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *exc: object) -> None:
        self._owner = None
        self._condition.release()

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the lock."""
        return self._owner == threading.get_ident()

    def wait(self, timeout: float | None) -> None:
        """Let others have the lock until one of them wakes this thread, or ``timeout`` seconds."""
        self._owner = None
        self._condition.wait(timeout)
        self._owner = threading.get_ident()

    def wake(self, count: int = 1) -> None:
        """Wake up to ``count`` waiting threads."""
        self._condition.notify(count)

    def wake_all(self) -> None:
        """Wake every waiting thread."""
        self._condition.notify_all()
