"""Values that belong to one thread, or to one greenlet where gevent takes the place of threads."""

from __future__ import annotations

import os
import threading


class ThreadValues:
    """Holds a ``threading.local`` that each process makes anew, at its first use there.

    With ``--preload``, gunicorn loads this package in its master, and its gevent workers replace
    what ``threading`` offers when they have been forked. A ``threading.local`` of before knows
    nothing of greenlets: all requests that a worker serves at a time would share one.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._values = threading.local()

    def get(self) -> threading.local:
        """Return an object of which each thread sees its own attributes."""
        pid = os.getpid()
        if self._pid != pid:
            self._values = threading.local()
            self._pid = pid
        return self._values
