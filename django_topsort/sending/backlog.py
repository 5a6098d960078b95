"""What waits, what is on its way, and when the next may go.

Not safe between threads: the workers hold their lock, except to look at ``in_flight`` and ``shed``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from django_topsort.batches import MAX_PER_KIND
from django_topsort.exceptions import EverythingRefused
from django_topsort.sending.circuit import LONGEST_RETRY_AFTER, Circuit, get_backoff
from django_topsort.sending.queue import EventQueue
from django_topsort.sending.refusals import Refusals

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.handover import HandOver
    from django_topsort.sending.posting import Outcome
    from django_topsort.sending.queue import Job
    from django_topsort.sending.wiring import SenderOptions

# Events are given up when they have failed this often and for this long: an outage alone ends none.
MIN_ATTEMPTS = 6
MAX_AGE = 300.0  # seconds since the first failure
# A purchase that is refused while Topsort takes nothing else is asked about so often: within these
# seconds other batches show whether everything is refused.
TRIES_IN_DOUBT = 3
PROBE_EVENTS = 10  # of a kind, in the request that asks whether Topsort answers again
# While answers come within these seconds, a few requests at a time send as much as many would, and
# a page of many products does not open a connection for each fifty of them.
SLOW_ANSWER = 0.01
FEW_REQUESTS = 4
PROBE_SECONDS = 10.0  # after which to look again whether a probe that is out has come back


class Backlog:
    """A queue and a circuit: what to send, and whether it may be sent.

    ``in_flight``: the jobs that are being posted, by an id of who posts them. ``shed``: events for
    which there was no room, until somebody says so.
    """

    def __init__(self, clock: Callable[[], float], rand: Callable[[], float]) -> None:
        self.in_flight: dict[int, Job] = {}
        self.shed: list[Event] = []
        self._clock = clock
        self._rand = rand
        self._queue = EventQueue()
        self._circuit = Circuit(rand)
        self._refusals = Refusals()
        self._last_answer = 0.0  # the seconds that it took

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._queue)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return not (self.in_flight or self.shed or len(self._queue))

    @property
    def is_paused(self) -> bool:
        """Whether Topsort is taken to be unable to answer."""
        return self._circuit.is_open

    @property
    def has_fresh(self) -> bool:
        """Whether there are events that were not tried yet."""
        return self._queue.has_fresh

    def put(
        self, events: Sequence[Event] | HandOver, options: SenderOptions, *, again: bool = False
    ) -> None:
        """Queue ``events``, and shed what then does not fit; ``again`` after it was broken off."""
        places, size = options.queue_size, options.queue_bytes
        self.shed += self._queue.put(events, self._clock(), places, size, again=again)

    def hasten(self) -> None:
        """Make failed events due, unless it is for Topsort to say when."""
        if not self._circuit.is_open:
            self._queue.hasten(self._clock())

    def get_delay(self, interval: float) -> float | None:
        """Return the seconds until something may be posted; None while nothing waits.

        Fresh events wait up to ``interval`` seconds for others to fill their request.
        """
        now = self._clock()
        delay = self._queue.get_delay(now, interval)
        if delay is None:
            return None
        pause = self._circuit.get_delay(now)
        delay = max(delay, PROBE_SECONDS if pause is None else pause)
        if not delay and len(self.in_flight) >= FEW_REQUESTS and not self._is_slow(now):
            return SLOW_ANSWER  # then those that are out tell whether it needs more
        return delay

    def get_oldest(self) -> float | None:
        """Return since when the oldest event waits, by the clock; None where nothing does.

        Of events that were tried it is since they first were.
        """
        since = [job.first_failure for job in self.in_flight.values()]
        return min([*since, *self._queue.get_times()], default=None)

    def take_job(self, owner: int) -> Job | None:
        """Remove and return what to post next, of which ``owner`` says what became of it."""
        most = PROBE_EVENTS if self._circuit.is_open else MAX_PER_KIND
        job = self._queue.take(self._clock(), most)
        if job is not None:
            job.is_probe = self._circuit.start()
            job.started = self._clock()
            self.in_flight[owner] = job
        return job

    def settle(self, job: Job, outcome: Outcome) -> list[Event]:
        """Note what became of a job, and keep what waits; return what has been tried enough.

        What was rejected without proof that it is the event's own fault moves to what waits.
        """
        now = self._clock()
        self._last_answer = now - job.started
        was_open = self._circuit.is_open
        is_refused = bool(outcome.rejected) and not outcome.delivered
        self._refusals.weigh(
            outcome,
            started=job.started,
            refused_since=job.refused_since,
            is_last=lambda event: job.attempts + 1 >= TRIES_IN_DOUBT,
        )
        if is_refused and job.refused_since is None:
            job.refused_since = now
        self._circuit.note(outcome, now, is_probe=job.is_probe)
        self._queue.settle(job)
        dropped = self._put_back(job, outcome, now)
        if was_open and not self._circuit.is_open:
            self._queue.hasten(now)  # Topsort is back: there is nothing more to wait for
        return dropped

    def take_all(self) -> list[Event]:
        """Remove and return all that waits or is on its way: what is left when time is up."""
        left = [event for job in self.in_flight.values() for event in job.batch]
        self.in_flight.clear()
        return left + self._queue.take_all()

    def _is_slow(self, now: float) -> bool:
        """Whether answers take so long that more requests at a time would send more."""
        first = min((job.started for job in [*self.in_flight.values()]), default=now)
        return max(self._last_answer, now - first) > SLOW_ANSWER

    def _is_worn(self, job: Job, now: float) -> bool:
        """Whether a job that came back has been tried enough."""
        return job.attempts + 1 >= MIN_ATTEMPTS and now - job.first_failure > MAX_AGE

    def _put_back(self, job: Job, outcome: Outcome, now: float) -> list[Event]:
        if not outcome.waiting:
            return []
        error = outcome.error
        attempts, first_failure = job.attempts, job.first_failure if job.attempts else now
        if error is None and (outcome.delivered or outcome.rejected):
            pass  # it was cut short, and these were not asked about alone
        elif error is None or not error.configuration:
            if self._is_worn(job, now):
                return outcome.waiting
            # A setting that is wrong is no fault of the events: they are not counted out for it.
            attempts += 1
        due = now + get_backoff(attempts, self._rand)
        if isinstance(error, EverythingRefused):
            # After the next probe, where there are others for it: these have shown what they can.
            due += self._circuit.get_delay(now) or 0.0
        elif self._circuit.is_open:
            due = now  # the circuit says when to try again
        if error is not None and error.retry_after is not None:
            due = max(due, now + min(error.retry_after, LONGEST_RETRY_AFTER))
        self._queue.put_back(
            outcome.waiting,
            attempts=attempts,
            first_failure=first_failure,
            due=due,
            refused_since=job.refused_since,
        )
        return []
