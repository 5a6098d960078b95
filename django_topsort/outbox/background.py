"""The thread in which a process relays: at once what it stored, now and then what others left."""

from __future__ import annotations

import atexit
import logging
import math
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import close_old_connections, connections

from django_topsort.backends.thread import read_number
from django_topsort.delivery import log_safely
from django_topsort.outbox.relay import Relay
from django_topsort.outbox.retention import Retention
from django_topsort.outbox.store import get_outbox_database
from django_topsort.sending.links import PART_FOR_LINKS
from django_topsort.sending.workers import PART_OF_EXIT

if TYPE_CHECKING:
    from django_topsort.reporting import Reporter

SHORTEST_PAUSE = 1.0  # seconds
PART_FOR_RELAY = 1 - PART_OF_EXIT - PART_FOR_LINKS
FIRST_LOOK = 5.0  # seconds after the start of a process, at most


class BackgroundRelay:
    """One process's relay. A forked child has none until it needs one: see ``get_relay``."""

    def __init__(
        self,
        report: Reporter,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.relay = Relay(get_outbox_database(), report, clock=clock, rand=rand)
        self._retention = Retention(self.relay.using, clock, rand)
        self._clock = clock
        self._rand = rand
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted = 0  # passes that were asked for
        self._done = 0  # of these, those that have ended
        self._is_closed = False

    def start(self) -> bool:
        """See to it that the thread runs; return whether it does."""
        with self._changed:
            if self._is_closed or (self._thread is not None and self._thread.is_alive()):
                return not self._is_closed
            thread = threading.Thread(target=self._work, name="django-topsort-outbox", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False  # no more threads, or the interpreter is ending: others will relay
            self._thread = thread
            return True

    def nudge(self) -> None:
        """Let the thread look for rows now; there is something for it."""
        if self.start():
            with self._changed:
                self._wanted += 1
                self._changed.notify_all()

    def flush(self, timeout: float) -> None:
        """Wait until all that is due now was tried, for ``timeout`` seconds at most."""
        if self._thread is threading.current_thread():
            return  # a signal's receiver calls it from here
        deadline = self._clock() + timeout
        if not self.start():
            self.relay.run(lambda: self._clock() < deadline)
            return
        with self._changed:
            self._wanted += 1
            number = self._wanted
            self._changed.notify_all()
            while self._done < number and self._clock() < deadline:
                self._changed.wait(deadline - self._clock())

    def close(self, timeout: float) -> None:
        """Let the thread end after the batch that it is at; wait ``timeout`` seconds for it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def abandon(self) -> None:
        """Do nothing more: this is a copy, in a forked child, whose lock may be held for ever."""
        self._is_closed = True

    def _work(self) -> None:
        pause = FIRST_LOOK * self._rand()
        while not self._is_closed:
            with self._changed:
                # Under the lock: a close() that comes between would notify nobody.
                if self._done == self._wanted and not self._is_closed:
                    self._changed.wait(pause)
                number = self._wanted
            delay = self._relay_safely()
            with self._changed:
                self._done = number
                self._changed.notify_all()
            pause = read_number("TOPSORT_OUTBOX_SWEEP_INTERVAL", 0.1)
            # By up to half of it, so that processes that start together drift apart.
            pause = max(SHORTEST_PAUSE, min(pause, delay)) * (0.5 + self._rand())

    def _relay_safely(self) -> float:
        """Send what is due; return the seconds until there is more, as far as it is known.

        A database that fails is asked again at the next interval.
        """
        try:
            close_old_connections()
            self.relay.run(lambda: not self._is_closed)
            self._retention.run()
            return self.relay.get_delay()
        except BaseException as error:  # a receiver's SystemExit, too: this thread goes on
            said = "outbox not relayed; is it migrated, and the database there?"
            log_safely(logging.ERROR, ("relay", type(error).__name__), said, error=error)
            return math.inf
        finally:
            # Not kept while this thread waits: a database counts what is open, and ends what idles.
            connections[self.relay.using].close()


_relays: dict[int, BackgroundRelay] = {}


def get_relay(report: Reporter) -> BackgroundRelay:
    """Return this process's relay. The process is compared each time: a fork may be silent."""
    pid = os.getpid()
    relay = _relays.get(pid)
    if relay is None:
        relay = _relays.setdefault(pid, BackgroundRelay(report))
        for other in [known for known in _relays if known != pid]:
            _relays.pop(other, None)
        atexit.unregister(close_relay)
        atexit.register(close_relay)
    return relay


def get_pause() -> float:
    """Return the seconds until this process's relay may ask Topsort again: 0 if it has none."""
    relay = _relays.get(os.getpid())
    return 0.0 if relay is None else relay.relay.get_pause()


def is_shared(using: str) -> bool:
    """Whether other threads and processes can see the database: one in memory is its thread's."""
    connection = connections[using]
    is_memory = getattr(connection, "is_in_memory_db", None)
    return not (is_memory is not None and is_memory())


def close_relay() -> None:
    """Let this process's relay end after the batch that it is at, if it is not at it for long.

    The rows stay where they are: what is broken off is sent again, under the same ids, when its
    lease is over. The time that a process has to end is for what is in memory.
    """
    relay = _relays.pop(os.getpid(), None)
    if relay is not None:
        relay.close(read_number("TOPSORT_SHUTDOWN_TIMEOUT", 0) * PART_FOR_RELAY)


def _abandon_copies() -> None:
    # Under gevent a forked child goes on with copies of the parent's threads, which are greenlets.
    while _relays:
        _relays.popitem()[1].abandon()


os.register_at_fork(after_in_child=_abandon_copies)
