"""Hands what a request has recorded to a broker, and holds nobody up for longer than 50 ms.

A broker's client waits as long as it likes: for an address, for a connection, for a confirmation.
So a thread of its own asks it, and whoever has something for it waits a moment and goes on.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from django_topsort.exceptions import NoAnswer
from django_topsort.sending.circuit import Circuit

if TYPE_CHECKING:
    from django_topsort.events import Event

PATIENCE = 0.05  # seconds that a caller waits at most
IDLE_SECONDS = 10.0  # after which a thread without work ends


class _State(Enum):
    WAITING = 1
    UNDERWAY = 2
    DONE = 3
    FAILED = 4


class _Job:
    """One message, and what became of it. ``is_left``: nobody waits for it any more."""

    __slots__ = ("events", "is_left", "is_probe", "message", "pid", "started", "state")

    def __init__(self, message: object, events: Sequence[Event]) -> None:
        self.message = message
        self.events = events
        self.pid = os.getpid()
        self.state = _State.WAITING
        self.started = 0.0
        self.is_probe = False
        self.is_left = False


class Publisher:
    """Publishes messages one after the other; a forked child begins with none.

    ``publish`` gives one message to the broker, and raises what the broker's client does.
    ``published`` hears of the events that the broker has, and ``give_back`` of those for which
    nobody waited and that it has not; neither may raise. While the broker fails, it is asked now
    and then only, as Topsort is: see ``Circuit``.
    """

    def __init__(
        self,
        publish: Callable[[Any], None],
        published: Callable[[Sequence[Event]], None],
        give_back: Callable[[Sequence[Event]], None],
        failed: Callable[[BaseException, int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._publish = publish
        self._published = published
        self._give_back = give_back
        self._failed = failed
        self._clock = clock
        self._rand = rand
        self._begin_anew()

    def _begin_anew(self) -> None:
        # Re-entrant: a log handler or a signal's may hand over events in the midst of our own work.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[_Job] = deque()
        self._current: _Job | None = None
        self._thread: threading.Thread | None = None
        self._circuit = Circuit(self._rand)
        self._is_closed = False
        self._pid = os.getpid()

    def put(self, message: object, events: Sequence[Event], patience: float = PATIENCE) -> bool:
        """Let ``message``, in which ``events`` are, be published; return whether that is settled.

        It is when the broker has it, or is being asked still: then ``give_back`` gets the events if
        it fails. If it is not, they are the caller's. Takes ``patience`` seconds at most.
        """
        self._mind_fork()
        job = _Job(message, events)
        with self._changed:
            if not self._may_ask():
                return False
            # It is the caller's own affair where there are no more threads, or Python is ending.
            is_alone = threading.current_thread() is self._thread or not self._start()
            if is_alone:
                self._begin(job)
            else:
                self._queue.append(job)
                self._changed.notify_all()
                self._wait(job, patience)
        if is_alone:
            self._run(job)
        return job.state in {_State.DONE, _State.UNDERWAY}

    def flush(self, timeout: float) -> bool:
        """Wait for what is under way; return whether nothing is left after ``timeout`` seconds."""
        self._mind_fork()
        if threading.current_thread() is self._thread:
            return False
        with self._changed:
            return self._changed.wait_for(lambda: not (self._queue or self._current), timeout)

    def close(self, timeout: float) -> None:
        """Take nothing more; give back what the broker has not taken after ``timeout`` seconds."""
        self.flush(timeout)
        with self._changed:
            self._is_closed = True
            jobs = [*self._queue, *([self._current] if self._current else [])]
            left = [job for job in jobs if job.is_left]
            for job in (*self._queue, *left):
                job.state = _State.FAILED  # whoever waits for one still has its events
            self._queue.clear()
            self._changed.notify_all()
        for job in left:
            self._give_back(job.events)

    def is_paused(self) -> bool:
        """Whether the broker is taken to be unable to answer."""
        self._mind_fork()
        return self._circuit.is_open or self._is_stuck()

    def _mind_fork(self) -> None:
        # uWSGI forks without Python's hooks, so the process is compared each time.
        if self._pid != os.getpid():
            self._begin_anew()

    def _may_ask(self) -> bool:
        if self._is_closed or self._is_stuck():
            return False
        return self._circuit.get_delay(self._clock()) == 0

    def _is_stuck(self) -> bool:
        """Whether the broker has been asked for longer than anybody waits: others need not try."""
        job = self._current
        return job is not None and self._clock() - job.started > PATIENCE

    def _start(self) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return True
        name = "django-topsort-publisher"
        thread = threading.Thread(target=self._work, args=(self._pid,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _wait(self, job: _Job, patience: float) -> None:
        """Wait for a job's end; take one back that has not begun, leave one that has."""
        settled = (_State.DONE, _State.FAILED)
        try:
            self._changed.wait_for(lambda: job.state in settled, patience)
        except BaseException:  # of a signal's handler, such as a server's time limit
            job.is_left = True
            if job.state is _State.FAILED:
                self._give_back(job.events)
            raise
        if job.state is _State.WAITING:
            self._queue.remove(job)
            job.state = _State.FAILED
        job.is_left = job.state is _State.UNDERWAY

    def _work(self, pid: int) -> None:
        while (job := self._take(pid)) is not None:
            self._run(job)

    def _take(self, pid: int) -> _Job | None:
        """Wait for a job; None when this thread, of the process ``pid``, is to end."""
        with self._changed:
            while not self._is_closed and pid == os.getpid():
                if self._queue:
                    self._current = self._queue.popleft()
                    self._begin(self._current)
                    return self._current
                if not self._changed.wait(IDLE_SECONDS) and not self._queue:
                    break
            self._thread = None
            return None

    def _begin(self, job: _Job) -> None:
        job.state, job.started = _State.UNDERWAY, self._clock()
        job.is_probe = self._circuit.start()

    def _run(self, job: _Job) -> None:
        error: BaseException | None = None
        try:
            self._publish(job.message)
        except BaseException as fault:  # also what a receiver of the broker's client throws
            error = fault
        if job.pid != os.getpid():
            return  # a copy of the parent's: it says itself what became of it
        with self._changed:
            self._note(job, error)
            is_given_back = job.state is not _State.UNDERWAY  # because the process ends
            is_left = job.is_left
            if not is_given_back:
                job.state = _State.DONE if error is None else _State.FAILED
            self._changed.notify_all()
        if error is not None:
            self._failed(error, len(job.events))
        if is_given_back:
            return
        if error is None:
            self._published(job.events)
        elif is_left:
            self._give_back(job.events)

    def _note(self, job: _Job, error: BaseException | None) -> None:
        if self._current is job:
            self._current = None
        if error is None:
            self._circuit.succeed(is_probe=job.is_probe)
        else:
            answer = NoAnswer(type(error).__name__)
            self._circuit.fail(answer, self._clock(), is_probe=job.is_probe)
