"""Importing what only some processes need, when they first need it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


class Loading:
    """Lets a fork wait until no thread is importing what it has put off: ``with loading.lock``.

    A child would find modules half made, by a thread that it does not have, and Python would go on
    waiting for that thread: the child could never use them.
    """

    patience = 5.0  # seconds; the import takes a fraction of one, once in a process

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(
            before=self._hold, after_in_parent=self._let_go, after_in_child=self._begin_anew
        )

    def _hold(self) -> None:
        self.lock.acquire(timeout=self.patience)

    def _let_go(self) -> None:
        with suppress(RuntimeError):  # patience was at an end
            self.lock.release()

    def _begin_anew(self) -> None:
        self.lock = threading.RLock()


loading = Loading()
