"""The lock of the engine, and what threads wait for under it."""

from __future__ import annotations

import threading


class Turn:
    """One lock with two conditions: workers wait for ``work``, callers until all is ``settled``.

    ``lock`` stands in a ``with`` statement itself, not behind a method of ours: a signal handler
    may raise anywhere, and between taking a lock in a method and entering the block nobody would
    release it again.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.work = threading.Condition(self.lock)
        self.settled = threading.Condition(self.lock)

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the lock.

        Garbage collection, a signal handler or a log handler may record an event in the midst of
        our own critical section, where the state is not to be touched.
        """
        # Private, but every RLock has it: threading.Condition asks the same question by it.
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]
