"""The background threads of one process, and the queue that they empty."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from django_topsort.lineage import lineage
from django_topsort.sending.backlog import Backlog
from django_topsort.sending.crew import Crew
from django_topsort.sending.farewells import Farewells
from django_topsort.sending.handover import Aside, HandOver
from django_topsort.sending.posting import Outcome, post_batch
from django_topsort.sending.taken import TakenPurchases
from django_topsort.sending.turn import Turn

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.queue import Job
    from django_topsort.sending.wiring import SenderOptions, Wiring

# Of the time that a process which ends has: what is for this, and of that what is kept for the
# overflow. Links of users and the outbox's relay end in the rest.
PART_OF_EXIT = 0.85
PART_FOR_OVERFLOW = 0.2


class Workers:
    """Posts events from background threads of one process, started when there is work."""

    def __init__(self, wiring: Wiring) -> None:
        self._taken = TakenPurchases(wiring.report)
        wiring = replace(wiring, report=self._taken)
        self._wiring = wiring
        self._turn = Turn()
        self._backlog = Backlog(wiring.clock, wiring.rand)
        self._aside = Aside()
        self._farewells = Farewells(wiring, self._turn, self._backlog)
        self._crew = Crew(self._work, wiring.clock)
        self._idle = 0
        self._flushing = 0
        self._is_closed = False

    def put(self, events: Sequence[Event]) -> Exception | None:
        """Queue ``events``; return what broke that off: they are sent all the same."""
        handed = self._taken.leave_out(HandOver(events))
        try:
            self._aside.append(handed)
            self._attend()
        except Exception as error:
            return error
        return None

    def flush(self, timeout: float) -> bool:
        """Post at once what waits; return whether all was settled within ``timeout`` seconds."""
        if self._turn.is_mine or self._is_ours():
            return False
        deadline = self._wiring.clock() + timeout
        self._attend()
        with self._turn.lock:
            self._flushing += 1
            self._backlog.hasten()
            self._turn.work.notify_all()
        try:
            return self._wait_until_empty(deadline)
        finally:
            options = self._wiring.options()
            worker = None
            with self._turn.lock:
                self._flushing -= 1
                if len(self._backlog) and not self._crew:
                    worker = self._wake_worker(options)  # this thread stood in for one
            self._start(worker)
            self._attend()

    def shutdown(self, timeout: float) -> bool:
        """Flush, then stop and see off what is left; return whether nothing was."""
        if self._turn.is_mine:
            return False  # a signal handler in the midst of our own work; the exit calls again
        deadline = self._wiring.clock() + timeout * PART_OF_EXIT
        if not (self._backlog.is_paused and self._wiring.has_overflow()):
            # Otherwise Topsort does not answer, and all of the time is for the overflow.
            self.flush(timeout * (PART_OF_EXIT - PART_FOR_OVERFLOW))
        with self._turn.lock:
            self._is_closed = True
            left = self._backlog.take_all()
            self._farewells.dismiss(left, "shutdown")
            has_idle = self._idle > 0
            self._turn.work.notify_all()
            self._turn.settled.notify_all()
        if not has_idle:
            self._farewells.see_off_elsewhere()
        self._farewells.wait(deadline)
        self._attend()
        return not left

    def abandon(self) -> None:
        """Do nothing more: in a forked child, this is a copy of what the parent goes on with."""
        # Without the lock, which may be a copy of one that is held.
        self._is_closed = True
        self._backlog.in_flight.clear()
        self._backlog.shed.clear()
        self._farewells.forget()

    def get_state(self) -> dict[str, Any]:
        """Return for how many seconds the oldest event waits, and whether Topsort is not asked."""
        with self._turn.lock:
            oldest = self._backlog.get_oldest()
            age = None if oldest is None else max(0.0, self._wiring.clock() - oldest)
            return {"oldest_seconds": age, "is_paused": self._backlog.is_paused}

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return not self._aside and self._farewells.is_silent and self._backlog.is_empty

    def _is_ours(self) -> bool:
        """Whether this thread posts or reports: it cannot wait for itself."""
        ident = threading.get_ident()
        return (
            ident in self._backlog.in_flight
            or self._farewells.is_by(ident)
            or threading.current_thread() in self._crew
        )

    def _attend(self) -> None:
        """Queue what was put aside, and see to it that somebody posts it.

        Once more where the lock was ours: what is put aside then has nobody else to look after it.
        """
        while self._aside:
            if self._turn.is_mine:
                self._turn.work.notify()  # this thread may be about to wait
                return
            options = self._wiring.options()
            worker = None
            late: list[Event] = []
            with self._turn.lock:
                if self._is_closed:
                    while self._aside:
                        late += self._aside.popleft()
                    self._farewells.dismiss(late, "shutdown")
                else:
                    # Whoever waits for earlier events to fill a batch need not hear of every one.
                    # Failed events are no such company: they may wait for long.
                    is_first = not self._backlog.has_fresh
                    self._aside.move_to(self._backlog, options)
                    if is_first or not self._idle or self._get_delay(options) == 0:
                        worker = self._wake_worker(options)
            self._start(worker)
            if late:
                self._farewells.see_off()
            self._farewells.relieve()

    def _get_delay(self, options: SenderOptions) -> float | None:
        """Return the seconds until something may be posted; None while nothing waits."""
        return self._backlog.get_delay(0.0 if self._flushing else options.flush_interval)

    def _wake_worker(self, options: SenderOptions) -> threading.Thread | None:
        """Wake a waiting thread; return a new one to be started where none waits."""
        if self._idle:
            self._turn.work.notify()
        elif self._crew.has_room(options.connections):
            return self._crew.hire()
        return None

    def _start(self, worker: threading.Thread | None) -> None:
        if worker is not None:
            try:
                worker.start()
            except RuntimeError:
                # No more threads, or the interpreter is ending. The events wait for the next ones.
                with self._turn.lock:
                    self._crew.dismiss(worker)

    def _work(self) -> None:
        try:
            while self._work_once(None):
                pass
        except BaseException as error:
            self._leave(error)
            raise

    def _leave(self, error: BaseException) -> None:
        """Leave what this thread had, and its place, to another: it was killed (SystemExit)."""
        job = self._backlog.in_flight.get(threading.get_ident())
        if job is not None:
            self._settle(job, Outcome(waiting=list(job.batch)))
        options = self._wiring.options()
        with self._turn.lock:
            self._crew.dismiss(threading.current_thread())
            # Where it failed at having nothing, another would likewise, and the next after it.
            is_lasting = job is None and isinstance(error, Exception)
            is_over = is_lasting or self._is_closed or self.is_empty
            worker = None if is_over else self._wake_worker(options)
        self._start(worker)

    def _work_once(self, deadline: float | None) -> bool:
        """Wait for a batch and post it; return False when there is none to wait for."""
        job = self._wait_for_job(deadline)
        if job is None:
            return False
        outcome = Outcome(waiting=list(job.batch))
        with lineage.sending(job.batch):
            try:
                outcome = post_batch(
                    job.batch, lambda body: self._post(body, deadline), self._wiring.encode
                )
            finally:
                self._settle(job, outcome)
        return True

    def _post(self, body: bytes, deadline: float | None) -> None:
        limit = None if deadline is None else max(0.1, deadline - self._wiring.clock())
        self._wiring.post(body, limit)

    def _wait_for_job(self, deadline: float | None) -> Job | None:
        while True:
            self._farewells.see_off()
            options = self._wiring.options()
            with self._turn.lock:
                if not self._is_closed:
                    self._aside.move_to(self._backlog, options)
                delay = self._get_delay(options)
                if delay == 0 and not self._is_closed:
                    job = self._backlog.take_job(threading.get_ident())
                    # Another one sees to what is left, which is or soon will be due.
                    worker = self._wake_worker(options) if len(self._backlog) else None
                    break
                if not self._wait(delay, options.idle_seconds, deadline):
                    # Out of the count under the lock: the next put() must not rely on this thread.
                    self._crew.dismiss(threading.current_thread())
                    return None
        self._start(worker)
        return job

    def _wait(self, delay: float | None, idle: float, deadline: float | None) -> bool:
        """Wait until there may be something to post; return False when this thread is to end."""
        if self._is_closed:
            return False
        if deadline is not None and (delay is None or self._wiring.clock() + delay > deadline):
            return False
        self._idle += 1
        try:
            if not self._aside:
                self._turn.work.wait(idle if delay is None else min(delay, idle))
        finally:
            self._idle -= 1
        return delay is not None or not self.is_empty

    def _settle(self, job: Job, outcome: Outcome) -> None:
        ident = threading.get_ident()
        with self._turn.lock:
            if self._backlog.in_flight.pop(ident, None) is None:
                return  # the process ends, and this batch has been reported as dropped
            self._farewells.begin()
            was_open = self._backlog.is_paused
            dropped = self._backlog.settle(job, outcome)
            if was_open:
                self._turn.work.notify_all()  # they wait for what this batch has found out
        self._farewells.say(outcome, dropped)

    def _wait_until_empty(self, deadline: float) -> bool:
        while True:
            with self._turn.lock:
                if self.is_empty:
                    return True
                now = self._wiring.clock()
                delay = self._backlog.get_delay(0.0) or 0.0
                is_busy = bool(self._backlog.in_flight) or self._farewells.is_speaking
                if now >= deadline or (not is_busy and now + delay > deadline):
                    return False  # Topsort will not be asked again before the time is up
                has_workers = self._crew.count() > 0
                if has_workers:
                    self._turn.settled.wait(min(deadline - now, 1.0))
            if not has_workers and not self._work_once(deadline):
                with self._turn.lock:
                    return self.is_empty
