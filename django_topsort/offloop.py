"""Threads for what must not run on an event loop's own: what waits for a disk or a database."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connections

THREADS = 2
MAX_WAITING = 100  # hand-overs; each may hold a request's events


def is_on_loop() -> bool:
    """Whether this is an event loop's own thread, which may wait for nothing."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class OffLoop:
    """A few threads of each process, and no more work for them than they can be expected to do.

    Not the loop's own executor, which a database that hangs would keep from everybody else.
    """

    def __init__(self) -> None:
        self._begin_anew()

    def run(self, work: Callable[[], object]) -> bool:
        """Run ``work`` in a thread; return False where too much waits already, or none can run."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            if self._waiting >= MAX_WAITING:
                return False
            self._waiting += 1
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # the process is ending
            self._note_done()
            return False
        future.add_done_callback(lambda _: self._note_done())
        return True

    def wait(self, seconds: float) -> None:
        """Wait until all that was given to the threads is done, so many seconds at most."""
        if self._pid == os.getpid():
            with self._lock:
                self._is_done.wait_for(lambda: not self._waiting, seconds)

    def _note_done(self) -> None:
        with self._lock:
            self._waiting -= 1
            self._is_done.notify_all()

    def _begin_anew(self) -> None:
        # In a forked child there are no threads of the parent, and its lock may be held for ever.
        self._lock = threading.Lock()
        self._is_done = threading.Condition(self._lock)
        self._waiting = 0
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="django-topsort-off-loop")
        self._pid = os.getpid()


off_loop = OffLoop()


def run_off_loop(work: Callable[[], object]) -> bool:
    """Run ``work``, which asks a database, in a thread of ours and in the caller's context.

    Returns False where it is not run, as ``OffLoop.run`` does.
    """

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()  # of this thread: no request ends here, to close them

    return off_loop.run(partial(contextvars.copy_context().run, run))
