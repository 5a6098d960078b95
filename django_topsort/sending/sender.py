"""The sender of a process: survives forks, and says goodbye at exit."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from django_topsort.sending.workers import Workers

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.wiring import Wiring


_senders: WeakSet[Sender] = WeakSet()


def _abandon_copies() -> None:
    for sender in _senders:
        sender.abandon_copies()


# Under gevent a forked child goes on with copies of the parent's threads, which are greenlets.
os.register_at_fork(after_in_child=_abandon_copies)


def await_exit(act: Callable[[], object]) -> None:
    """Let ``act`` be called when this process ends: before what awaits its end already."""
    atexit.unregister(act)
    atexit.register(act)
    # A forked child of multiprocessing ends without Python's exit hooks, but with its own.
    processes: Any = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, act, exitpriority=-100)  # after those of the project


class Sender:
    """Posts events in the background, in whichever process it is used.

    The process id is compared at every hand-over. A hook that Python calls after a fork would not
    do: uWSGI forks without telling Python, and there a dead thread says that it is alive.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._workers: dict[int, Workers] = {}
        _senders.add(self)

    def put(self, events: Sequence[Event]) -> Exception | None:
        """Queue ``events`` for sending, without waiting for the network.

        What does not fit any more is dropped as ``"overflow"``: page views first, then impressions,
        then clicks, the oldest first. What comes after ``shutdown`` is dropped as ``"shutdown"``.
        Returns what broke it off, which the events have outlived.
        """
        return self._get_workers().put(events)

    def flush(self, timeout: float) -> bool:
        """Send at once what waits; return whether all was settled within ``timeout`` seconds.

        It returns False early when Topsort will not be asked again within that time, and at once in
        a background thread, where a signal's receiver may call it.
        """
        return self._get_workers().flush(timeout)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Send what waits, within ``timeout`` seconds (by default the shutdown timeout), and stop.

        What is left then is dropped. Returns whether nothing was.
        """
        workers = self._workers.get(os.getpid())
        if workers is None:
            return True
        budget = self._wiring.options().shutdown_timeout if timeout is None else timeout
        return workers.shutdown(budget)

    def get_state(self) -> dict[str, Any]:
        """Return the ``oldest_seconds`` of what waits, None for nothing, and ``is_paused``."""
        workers = self._workers.get(os.getpid())
        return {} if workers is None else workers.get_state()

    def abandon_copies(self) -> None:
        """Let nothing of the parent work in a child, where its events are but copies."""
        for workers in self._workers.values():
            workers.abandon()

    def _get_workers(self) -> Workers:
        pid = os.getpid()
        workers = self._workers.get(pid)
        if workers is None:
            # The parent keeps its events and sends them itself; a child starts with none, and with
            # locks of its own. setdefault is atomic, so that all threads get the same.
            workers = self._workers.setdefault(pid, Workers(self._wiring))
            for other in list(self._workers):
                if other != pid:
                    self._workers.pop(other, None)
            await_exit(self.shutdown)
        return workers
