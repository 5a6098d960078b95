"""The background threads of one process, and the queue that they empty."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django_topsort.batches import MAX_PER_KIND, build_batches
from django_topsort.sending.circuit import LONGEST_RETRY_AFTER, Circuit, get_backoff
from django_topsort.sending.posting import Outcome, post_batch
from django_topsort.sending.queue import EventQueue, Retry
from django_topsort.sending.turn import Turn

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.wiring import SenderOptions, Wiring

logger = logging.getLogger(__name__)

# Events are given up when they have failed this often and for this long: an outage alone ends none.
MIN_ATTEMPTS = 6
MAX_AGE = 300.0  # seconds since the first failure
IDLE_SECONDS = 10.0  # after which a thread without work ends; the next event starts another
PROBE_EVENTS = 10  # of a kind, in the request that asks whether Topsort answers again


class Workers:
    """Posts events from background threads, which start when there is something to post.

    All of it belongs to one process; a forked child makes its own.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._turn = Turn()
        self._queue = EventQueue()
        self._circuit = Circuit()
        self._aside: deque[Sequence[Event]] = deque()
        self._shed: list[Event] = []
        self._in_flight: dict[int, Retry] = {}
        self._threads: set[threading.Thread] = set()
        self._reporting = 0
        self._idle = 0
        self._flushing = 0
        self._is_closed = False

    def put(self, events: Sequence[Event]) -> None:
        """Queue ``events``; what then does not fit is dropped, oldest first."""
        if self._turn.is_mine:
            self._aside.append(events)
            return
        options = self._wiring.options()
        worker = None
        with self._turn:
            is_late = self._is_closed
            if not is_late:
                was_empty = not len(self._queue)
                self._aside.append(events)
                self._take_aside(options)
                # A thread that waits for the batch to fill need not hear of every event.
                if was_empty or not self._idle or self._get_delay(options) == 0:
                    worker = self._wake_worker(options)
        if is_late:
            self._wiring.report.dropped(events, "shutdown")
        elif worker is not None:
            self._start(worker)

    def flush(self, timeout: float) -> bool:
        """Post at once what waits; return whether all was settled within ``timeout`` seconds."""
        if self._turn.is_mine or threading.current_thread() in self._threads:
            return False
        deadline = self._wiring.clock() + timeout
        with self._turn:
            self._flushing += 1
            self._turn.wake_all()
        try:
            return self._wait_until_empty(deadline)
        finally:
            with self._turn:
                self._flushing -= 1

    def shutdown(self, timeout: float) -> bool:
        """Flush, then stop and drop what is left; return whether nothing was."""
        self.flush(timeout)
        with self._turn:
            self._is_closed = True
            self._take_aside(self._wiring.options())
            left = self._queue.take_all()
            left += [event for job in self._in_flight.values() for event in job.events]
            self._queue.settle(left)
            left += self._shed
            self._in_flight.clear()
            self._shed = []
            self._turn.wake_all()
        if left:
            self._wiring.report.dropped(left, "shutdown")
        return not left

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return not (
            self._in_flight or self._reporting or self._aside or self._shed or len(self._queue)
        )

    def _take_aside(self, options: SenderOptions) -> None:
        now = self._wiring.clock()
        while self._aside:
            events = self._aside.popleft()
            self._shed += self._queue.put(events, now, options.queue_size, options.queue_bytes)

    def _get_delay(self, options: SenderOptions) -> float | None:
        """Return the seconds until something may be posted; None while nothing waits."""
        now = self._wiring.clock()
        interval = 0.0 if self._flushing else options.flush_interval
        delay = self._queue.get_delay(now, interval)
        if delay is None:
            return None
        pause = self._circuit.get_delay(now)
        return IDLE_SECONDS if pause is None else max(delay, pause)

    def _wake_worker(self, options: SenderOptions) -> threading.Thread | None:
        """Wake a waiting thread; return a new one to be started where none waits."""
        if self._idle:
            # Those that wait in flush() share the condition, and one of them might be woken instead.
            self._turn.wake(1 + self._flushing)
            return None
        # One that was killed from outside is gone without a word.
        self._threads = {one for one in self._threads if one.ident is None or one.is_alive()}
        if len(self._threads) >= options.connections:
            return None
        worker = threading.Thread(target=self._work, name="django-topsort", daemon=True)
        self._threads.add(worker)
        return worker

    def _start(self, worker: threading.Thread) -> None:
        try:
            worker.start()
        except RuntimeError:
            # No more threads, or the interpreter is ending. The events wait; the next ones try again.
            with self._turn:
                self._threads.discard(worker)

    def _work(self) -> None:
        try:
            while self._work_once(None):
                pass
        finally:
            with self._turn:  # also when a SystemExit was thrown into it
                self._threads.discard(threading.current_thread())

    def _work_once(self, deadline: float | None) -> bool:
        """Wait for a batch and post it; return False when there is none to wait for."""
        job = self._wait_for_job(deadline)
        if job is None:
            return False
        outcome = Outcome(waiting=job.events)
        try:
            (batch,) = build_batches(job.events)
            outcome = post_batch(batch, self._wiring.post, self._wiring.encode)
        except Exception:
            # A fault of ours, or of a function in the settings. The events are tried again.
            logger.exception("posting failed events=%s", len(job.events))
        finally:
            self._settle(job, outcome)
        return True

    def _wait_for_job(self, deadline: float | None) -> Retry | None:
        while True:
            self._report_shed()
            options = self._wiring.options()
            worker = None
            with self._turn:
                self._take_aside(options)
                delay = self._get_delay(options)
                if delay == 0 and not self._is_closed:
                    most = PROBE_EVENTS if self._circuit.start() else MAX_PER_KIND
                    job = self._queue.take(self._wiring.clock(), most)
                    if job is not None:
                        self._in_flight[id(job)] = job
                        if len(self._queue):
                            worker = self._wake_worker(options)
                elif not self._wait(delay, deadline):
                    # Out of the count under the lock: the next put() must not rely on this thread.
                    self._threads.discard(threading.current_thread())
                    return None
                else:
                    continue
            if worker is not None:
                self._start(worker)
            return job

    def _wait(self, delay: float | None, deadline: float | None) -> bool:
        """Wait until there may be something to post; return False when this thread is to end."""
        if self._is_closed:
            return False
        if deadline is not None and (delay is None or self._wiring.clock() + delay > deadline):
            return False
        self._idle += 1
        try:
            self._turn.wait(IDLE_SECONDS if delay is None else delay)
        finally:
            self._idle -= 1
        return delay is not None or not self.is_empty

    def _settle(self, job: Retry, outcome: Outcome) -> None:
        with self._turn:
            if self._in_flight.pop(id(job), None) is None:
                return  # the process ends, and this batch has been reported as dropped
            self._reporting += 1
            was_open = self._circuit.is_open
            if outcome.error is None:
                self._circuit.succeed()
            else:
                self._circuit.fail(outcome.error, self._wiring.clock())
            dropped = self._put_back(job, outcome)
            rejected = [event for event, _ in outcome.rejected]
            self._queue.settle([*outcome.delivered, *rejected, *dropped])
            if was_open:
                self._turn.wake_all()  # they wait for what this batch has found out
        try:
            self._say(outcome, dropped)
        finally:
            with self._turn:
                self._reporting -= 1
                if self._flushing:
                    self._turn.wake_all()

    def _put_back(self, job: Retry, outcome: Outcome) -> list[Event]:
        """Keep what is not settled for another try; return what has had enough of them."""
        if not outcome.waiting:
            return []
        now, error = self._wiring.clock(), outcome.error
        attempts = job.attempts
        first_failure = job.first_failure if attempts else now
        due = now
        if error is None or not error.configuration:
            # A setting that is wrong is no fault of the events: they are not counted out for it.
            attempts += 1
            due += get_backoff(attempts)
        if error is not None and error.retry_after is not None:
            due = max(due, now + min(error.retry_after, LONGEST_RETRY_AFTER))
        if attempts >= MIN_ATTEMPTS and now - first_failure > MAX_AGE:
            return outcome.waiting
        self._queue.put_back(Retry(outcome.waiting, attempts, first_failure, due))
        return []

    def _say(self, outcome: Outcome, dropped: list[Event]) -> None:
        if outcome.delivered:
            self._wiring.report.delivered(outcome.delivered)
        for event, error in outcome.rejected:
            self._wiring.report.rejected([event], error)
        if outcome.error is not None:
            self._wiring.report.failed(outcome.error, len(outcome.waiting))
        if dropped:
            self._wiring.report.dropped(dropped, "expired")

    def _report_shed(self) -> None:
        """Say what the queue had no room for: here, because a request is not to wait for it."""
        with self._turn:
            shed, self._shed = self._shed, []
            self._reporting += 1
        try:
            if shed:
                self._wiring.report.dropped(shed, "overflow")
        finally:
            with self._turn:
                self._reporting -= 1
                if self._flushing:
                    self._turn.wake_all()

    def _wait_until_empty(self, deadline: float) -> bool:
        while True:
            with self._turn:
                if self.is_empty:
                    return True
                now = self._wiring.clock()
                pause = self._circuit.get_delay(now) or 0.0
                is_busy = bool(self._in_flight or self._reporting)
                if now >= deadline or (not is_busy and now + pause > deadline):
                    return False  # Topsort will not be asked again before the time is up
                has_workers = bool(self._threads)
                if has_workers:
                    self._turn.wait(min(deadline - now, 1.0))
            if not has_workers and not self._work_once(deadline):
                with self._turn:
                    return self.is_empty
