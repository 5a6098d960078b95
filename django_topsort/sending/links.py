"""The links of one process on their way to Topsort: a lane beside that of the events.

Topsort takes links at an address of its own, one in a request, and not from every account. What it
says there must not stop events, so nothing is shared with their queue and their circuit. There are
few links: one thread posts one after the other, and all of them wait while Topsort does not answer.
"""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from django_topsort.exceptions import ApiError, AuthenticationFailed, EndpointNotFound, NoAnswer
from django_topsort.sending.circuit import LONGEST_RETRY_AFTER, get_backoff

if TYPE_CHECKING:
    from django_topsort.userlinks import UserLink

MAX_LINKS = 1000  # that wait; a shop's logins while Topsort is away
# A link is given up when it has waited so long, and the lane has failed so often in a row.
MAX_AGE = 300.0  # seconds
MIN_FAILURES = 6
BARRED_SECONDS = 3600.0  # for which an account without access is not asked about again
IDLE_SECONDS = 10.0
PART_FOR_LINKS = 0.05  # of the time that a process which ends has; a login's link is soon away


class LinkReport(Protocol):
    """Who hears what became of links."""

    def delivered(self, link: UserLink) -> None:
        """Topsort has taken ``link``."""

    def rejected(self, link: UserLink, error: ApiError) -> None:
        """Topsort has refused ``link``."""

    def dropped(self, links: Sequence[UserLink], reason: str) -> None:
        """``links`` are given up."""

    def failed(self, error: ApiError, count: int) -> None:
        """A request failed; ``count`` links wait for another."""

    def barred(self, error: ApiError) -> None:
        """The account has no access; links are dropped for an hour."""


class Waiting(NamedTuple):
    """A link, and since when it waits."""

    link: UserLink
    since: float


class LinkLane:
    """Posts links in the background; a forked child begins with none.

    ``post`` sends one link and raises ApiError. ``report`` never raises. ``get_exit_time`` says how
    many seconds a process that ends has for everything.
    """

    def __init__(
        self,
        post: Callable[[UserLink], None],
        report: LinkReport,
        get_exit_time: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._post = post
        self._report = report
        self._get_exit_time = get_exit_time
        self._clock = clock
        self._rand = rand
        self._begin_anew()

    def _begin_anew(self) -> None:
        # Re-entrant: a log handler or a signal's may hand over a link in the midst of our own work.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[Waiting] = deque()
        self._current: Waiting | None = None
        self._is_speaking = False  # of one that has just been settled
        self._thread: threading.Thread | None = None
        self._failures = 0  # in a row
        self._due = 0.0  # by the clock: not before it
        self._retry_after: float | None = None  # for which Topsort asked, last
        self._barred_until = 0.0
        self._is_closed = False
        self._pid = os.getpid()

    def put(self, link: UserLink) -> None:
        """Queue ``link``, without waiting for the network."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._changed:
            reason = self._get_objection()
            if not reason:
                atexit.unregister(self.close)
                atexit.register(self.close)
                self._queue.append(Waiting(link, self._clock()))
                self._start()
                self._changed.notify_all()
        if reason:
            self._report.dropped([link], reason)

    def flush(self, timeout: float) -> bool:
        """Post at once what waits; return whether all was settled within ``timeout`` seconds."""
        if self._pid != os.getpid():
            return True
        if threading.current_thread() is self._thread:
            return False  # a log handler calls it from here
        with self._changed:
            if self._failures and self._retry_after is None:
                self._due = self._clock()
            if self._queue:
                self._start()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._is_empty, timeout)

    def close(self) -> None:
        """Post what waits, in the part of the exit's time that is for links, and drop the rest."""
        self.flush(self._get_exit_time() * PART_FOR_LINKS)
        if self._pid != os.getpid():
            return
        with self._changed:
            self._is_closed = True
            left = [waiting.link for waiting in self._queue]
            if self._current is not None:
                left.insert(0, self._current.link)
            self._queue.clear()
            self._current = None
            self._changed.notify_all()
        if left:
            self._report.dropped(left, "shutdown")

    @property
    def _is_empty(self) -> bool:
        return not (self._queue or self._current or self._is_speaking)

    def _get_objection(self) -> str:
        if self._is_closed:
            return "shutdown"
        if self._barred_until > self._clock():
            return "no_access"
        return "overflow" if len(self._queue) >= MAX_LINKS else ""

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(
            target=self._work, args=(self._pid,), name="django-topsort-links", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return  # no more threads, or the interpreter is ending: the next link tries again
        self._thread = thread

    def _work(self, pid: int) -> None:
        while (waiting := self._take(pid)) is not None:
            self._settle(waiting, self._try(waiting.link), pid)

    def _take(self, pid: int) -> Waiting | None:
        """Wait for a link that may be posted; None when this thread is to end.

        It is of the process ``pid``: under gevent a forked child has a copy that works on.
        """
        with self._changed:
            while not self._is_closed and pid == os.getpid():
                delay = self._due - self._clock() if self._queue else IDLE_SECONDS
                if delay <= 0:
                    self._current = self._queue.popleft()
                    return self._current
                if not self._changed.wait(delay) and not self._queue:
                    break
            self._thread = None
            return None

    def _try(self, link: UserLink) -> ApiError | None:
        try:
            self._post(link)
        except ApiError as error:
            return error
        except Exception as fault:  # of a function in the settings: it may be over soon
            return NoAnswer(f"{type(fault).__name__} in this process")
        return None

    def _settle(self, waiting: Waiting, error: ApiError | None, pid: int) -> None:
        with self._changed:
            if self._current is not waiting or pid != os.getpid():
                return  # dropped meanwhile, because the process ends; or another's
            self._current, self._is_speaking = None, True
            dropped, reason, count = self._note(waiting, error)
        if error is None:
            self._report.delivered(waiting.link)
        elif error.isolate:
            self._report.rejected(waiting.link, error)
        elif reason == "no_access":
            self._report.barred(error)
        else:
            self._report.failed(error, count)
        if dropped:
            self._report.dropped(dropped, reason)
        with self._changed:
            self._is_speaking = False
            self._changed.notify_all()

    def _note(self, waiting: Waiting, error: ApiError | None) -> tuple[list[UserLink], str, int]:
        """Note what became of a link; return what is given up, why, and how many wait."""
        self._retry_after = error.retry_after if error else None
        if error is None or error.isolate:
            self._failures, self._due = 0, 0.0
            return [], "", len(self._queue)
        now = self._clock()
        self._queue.appendleft(waiting)
        if _is_barred(error):
            self._failures, self._barred_until = 0, now + BARRED_SECONDS
            left = [one.link for one in self._queue]
            self._queue.clear()
            return left, "no_access", 0
        self._failures += 1
        pause = get_backoff(self._failures, self._rand)
        self._due = now + max(pause, min(error.retry_after or 0.0, LONGEST_RETRY_AFTER))
        left = []
        while self._queue and self._failures >= MIN_FAILURES:
            if now - self._queue[0].since <= MAX_AGE:
                break
            left.append(self._queue.popleft().link)
        return left, "expired", len(self._queue)


def _is_barred(error: ApiError) -> bool:
    """Whether the account has no access, as Topsort gives it on request only.

    A key that is wrong (401) is another matter: it stops the events, too, until it is put right.
    """
    is_forbidden = isinstance(error, AuthenticationFailed) and error.status == 403
    return is_forbidden or isinstance(error, EndpointNotFound)
