"""Importing what only some processes need, when they first need it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


class Loading:
    """Lets a fork wait until no thread is importing what has been put off: ``with loading.lock``.

    A child would find modules half made, by a thread that it does not have, and Python would go on
    waiting for that thread: the child could never use them.
    """

    patience = 5.0  # seconds; the longest import takes a fraction of one, once in a process

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(
            before=self._hold, after_in_parent=self._let_go, after_in_child=self._begin_anew
        )

    @property
    def lock(self) -> threading.RLock:
        """The lock, of this very process."""
        if self._pid != os.getpid():
            # uWSGI forks without Python's hooks, and a thread of the parent may have held it.
            self._begin_anew()
        return self._lock

    @property
    def is_mine(self) -> bool:
        """Whether this thread is importing: whoever asks has come in between, by a signal."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]  # threading.Condition asks, too

    def _hold(self) -> None:
        self._lock.acquire(timeout=self.patience)

    def _let_go(self) -> None:
        with suppress(RuntimeError):  # patience was at an end
            self._lock.release()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()


loading = Loading()  # of whoever calls us, such as a request
posting = Loading()  # of what posts, which takes longer: no request waits for it
