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
from django_topsort.sending.sender import await_exit

if TYPE_CHECKING:
    from django_topsort.events import Event

PATIENCE = 0.05  # seconds that a caller waits at most
THREAD_NAME = "django-topsort-publisher"
IDLE_SECONDS = 10.0  # after which a thread without work ends


class _State(Enum):
    WAITING = 1
    UNDERWAY = 2
    DONE = 3
    FAILED = 4


class _Job:
    """One message, and what became of it.

    ``is_left``: nobody waits for it any more. ``is_ending``: its outcome is being told.
    """

    __slots__ = ("events", "is_ending", "is_left", "is_probe", "message", "pid", "started", "state")

    def __init__(self, message: object, events: Sequence[Event]) -> None:
        self.message = message
        self.events = events
        self.pid = os.getpid()
        self.state = _State.WAITING
        self.started = 0.0
        self.is_probe = False
        self.is_left = False
        self.is_ending = False


class Publisher:
    """Publishes messages one after the other; a forked child begins with none.

    ``publish`` gives one message to the broker, and raises what the broker's client does.
    ``published`` hears of the events that the broker has, and ``give_back`` of those for which
    nobody waited and that it has not; neither may raise. ``failed`` hears why, and of how many
    events. ``at_exit`` is called when a process ends that has published. While the broker fails,
    it is asked now and then only, as Topsort is: see ``Circuit``.
    """

    def __init__(
        self,
        publish: Callable[[Any], None],
        published: Callable[[Sequence[Event]], None],
        give_back: Callable[[Sequence[Event]], None],
        failed: Callable[[BaseException, int], None],
        *,
        at_exit: Callable[[], object] = object,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._publish = publish
        self._published = published
        self._give_back = give_back
        self._failed = failed
        self._at_exit = at_exit
        self._clock = clock
        self._rand = rand
        self._forks: dict[int, threading.RLock] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[_Job] = deque()
        self._current: _Job | None = None
        self._thread: threading.Thread | None = None
        self._circuit = Circuit(self._rand)
        self._is_closed = False
        self._awaits_exit = False
        self._pid = os.getpid()

    def put(self, message: object, events: Sequence[Event], patience: float = PATIENCE) -> bool:
        """Let ``message``, in which ``events`` are, be published; return whether that is settled.

        It is when the broker has it, or is being asked still: then ``give_back`` gets the events if
        it fails. If it is not, they are the caller's: also where no thread can start, as a broker's
        client may wait for as long as it likes. Takes ``patience`` seconds at most. Raises only
        what is thrown into it, such as a server's time limit: then the events are not the caller's.
        """
        self._mind_fork()
        # A log handler, a signal's handler or a __del__ may record events in the midst of our own
        # work, or of the broker's client's: neither is to be entered again.
        if self._is_mine() or patience <= 0:
            return False
        job = _Job(message, events)
        try:
            with self._lock:
                if not self._may_ask() or not self._start():
                    return False
                self._wait(job, patience)
        except BaseException:  # of a signal's handler, such as a server's time limit
            self._leave(job)
            raise
        return job.state in {_State.DONE, _State.UNDERWAY}

    def flush(self, timeout: float) -> bool:
        """Wait for what is under way; return whether nothing is left after ``timeout`` seconds."""
        self._mind_fork()
        if self._is_mine():
            return False
        with self._lock:
            return self._changed.wait_for(lambda: not (self._queue or self._current), timeout)

    def close(self, timeout: float) -> bool:
        """Take nothing more; give back what the broker has not taken after ``timeout`` seconds.

        Returns whether anything was given back. What the thread gives back itself just then is
        waited for as long again.
        """
        self.flush(timeout)
        if self._is_mine():
            return False  # a signal's handler in the midst of our own work: the exit calls again
        with self._lock:
            self._is_closed = True
            jobs = [*self._queue, *([self._current] if self._current else [])]
            open_jobs = [job for job in jobs if job.state in {_State.WAITING, _State.UNDERWAY}]
            for job in open_jobs:  # whoever waits for one hears that it is his
                job.state = _State.FAILED
            self._queue.clear()
            self._changed.notify_all()
            left = [job for job in open_jobs if job.is_left]
        for job in left:
            self._give_back(job.events)
        with self._lock:
            self._changed.wait_for(lambda: not (self._current and self._current.is_ending), timeout)
        return bool(left)

    def is_paused(self) -> bool:
        """Whether the broker is taken to be unable to answer."""
        self._mind_fork()
        return self._circuit.is_open or self._is_stuck()

    def _mind_fork(self) -> None:
        # uWSGI forks without Python's hooks, so the process is compared each time. A lock for each
        # process: the child's threads come at one moment, and nobody releases the parent's lock.
        if self._pid != (pid := os.getpid()):
            with self._forks.setdefault(pid, threading.RLock()):
                if self._pid != pid:
                    self._begin_anew()

    def _is_mine(self) -> bool:
        """Whether this thread is at work here already."""
        # Private, but every RLock has it: threading.Condition asks the same question by it.
        is_owned: bool = self._lock._is_owned()  # type: ignore[attr-defined]
        return is_owned or threading.current_thread() is self._thread

    def _may_ask(self) -> bool:
        if self._is_closed or self._is_stuck():
            return False
        return self._circuit.get_delay(self._clock()) == 0

    def _is_stuck(self) -> bool:
        """Whether the broker has been asked for longer than anybody waits: others need not try."""
        job = self._current
        return job is not None and self._clock() - job.started > PATIENCE

    def _start(self) -> bool:
        if not self._awaits_exit:
            self._awaits_exit = True
            await_exit(self._at_exit)
        if self._thread is not None and self._thread.is_alive():
            return True
        thread = threading.Thread(
            target=self._work, args=(self._pid,), name=THREAD_NAME, daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _wait(self, job: _Job, patience: float) -> None:
        """Queue a job and wait for it; take one back that has not begun, leave one that has."""
        settled = (_State.DONE, _State.FAILED)
        self._queue.append(job)
        self._changed.notify_all()
        self._changed.wait_for(lambda: job.state in settled, patience)
        if job.state is _State.WAITING:
            job.state = _State.FAILED  # first: the thread passes over it
            self._queue.remove(job)
        job.is_left = job.state is _State.UNDERWAY

    def _leave(self, job: _Job) -> None:
        """Let a job go for which its caller cannot wait any more, nor hear what becomes of it."""
        with self._lock:
            if job.state is _State.WAITING and job not in self._queue:
                job.state = _State.FAILED
            is_failed = job.state is _State.FAILED and not job.is_left
            job.is_left = True
        if is_failed:
            self._give_back(job.events)

    def _work(self, pid: int) -> None:
        while (job := self._take(pid)) is not None:
            try:
                self._run(job)
            finally:
                if pid == os.getpid():
                    with self._lock:  # what was left of the job, others have by now
                        self._current = None
                        self._changed.notify_all()

    def _take(self, pid: int) -> _Job | None:
        """Wait for a job; None when this thread, of the process ``pid``, is to end."""
        me = threading.current_thread()
        with self._lock:
            while not self._is_closed and pid == os.getpid() and self._thread is me:
                if self._queue:
                    job = self._queue.popleft()
                    if job.state is _State.WAITING:
                        self._current = job
                        self._begin(job)
                        return job
                elif not self._changed.wait(IDLE_SECONDS) and not self._queue:
                    break
            if self._thread is me:
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
        with self._lock:
            self._note(job, error)
            is_given_back = job.state is not _State.UNDERWAY  # because the process ends
            job.is_ending = not is_given_back
            if not is_given_back:
                job.state = _State.DONE if error is None else _State.FAILED
            is_left = job.is_left
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
        if error is None:
            self._circuit.succeed(is_probe=job.is_probe)
        else:
            answer = NoAnswer(type(error).__name__)
            self._circuit.fail(answer, self._clock(), is_probe=job.is_probe)
