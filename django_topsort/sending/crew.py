"""The threads of the workers, and how many of them there may be.

Not safe between threads: the workers hold their lock.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

STARTING_SECONDS = 1.0  # after which a thread that has not begun will not
COUNTING_SECONDS = 1.0  # after which to look again whether all threads are alive


class Crew:
    """Threads that run ``work``, each with when it was made."""

    def __init__(self, work: Callable[[], None], clock: Callable[[], float]) -> None:
        self._work = work
        self._clock = clock
        self._made: dict[threading.Thread, float] = {}
        self._counted_at = -math.inf

    def __len__(self) -> int:
        """How many there are, with those that are gone without a word."""
        return len(self._made)

    def __contains__(self, thread: threading.Thread) -> bool:
        return thread in self._made

    def has_room(self, most: int) -> bool:
        """Whether there may be another. Where all are there, they are counted once a second.

        Whoever asks is a page, and to look at a thread takes as long as an impression.
        """
        if len(self._made) < most:
            return True
        now = self._clock()
        if now - self._counted_at < COUNTING_SECONDS:
            return False
        self._counted_at = now
        return self.count() < most

    def count(self) -> int:
        """Return how many work, less those that are gone without a word."""
        now = self._clock()
        for thread, made in list(self._made.items()):
            is_starting = thread.ident is None and now - made < STARTING_SECONDS
            if not (is_starting or thread.is_alive()):
                del self._made[thread]
        return len(self._made)

    def hire(self) -> threading.Thread:
        """Return a new thread, to be started when the lock is free."""
        thread = threading.Thread(target=self._work, name="django-topsort", daemon=True)
        self._made[thread] = self._clock()
        return thread

    def dismiss(self, thread: threading.Thread) -> None:
        """Count a thread no more: it ends."""
        self._made.pop(thread, None)
