"""From the outbox to Topsort: claim what is due, post it, write down what became of it.

No transaction is open while Topsort is asked. What a relay has not written down when it dies is
due again when its lease ends, and is sent again under the same ids.
"""

from __future__ import annotations

import logging
import math
import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import connections

from django_topsort.accounts import accounts
from django_topsort.backends.base import encode_body
from django_topsort.backends.thread import post_body, read_number
from django_topsort.batches import MAX_PER_KIND
from django_topsort.delivery import log_safely
from django_topsort.exceptions import ApiError, InvalidEvent, NoAnswer
from django_topsort.lineage import lineage
from django_topsort.logs import describe_error, explain_error
from django_topsort.outbox.announced import finish_announcements
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import MAX_ERROR, RELAY_ORDER, Lease, OutboxEvent, Status
from django_topsort.outbox.rows import DESTINATION, Reading, read_event, show
from django_topsort.sending.backlog import PROBE_EVENTS
from django_topsort.sending.circuit import Circuit, get_backoff
from django_topsort.sending.posting import Outcome, post_batch
from django_topsort.sending.refusals import Refusals
from django_topsort.wire import build_request

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.reporting import Reporter

FIRST_BACKOFF = 5.0  # seconds
LONGEST_BACKOFF = 3600.0
# A purchase that is refused while Topsort takes nothing else is asked about so often: in these
# minutes other ones show whether everything is refused.
TRIES_IN_DOUBT = 6
# Of a lease: what is left then is for writing down what became of the rows.
PART_FOR_POSTING = 0.7


class Relay:
    """Sends the rows of one database, one batch after the other. For one thread at a time."""

    def __init__(
        self,
        using: str,
        report: Reporter,
        *,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.using = using
        self._report = report
        self._clock = clock
        self._rand = rand
        self._circuit = Circuit(rand)
        self._refusals = Refusals()
        self._refused_since: float | None = None  # the first of the rows that are in doubt
        self._cut: set[int] = set()  # rows that were put back because their batch had cost enough

    def get_pause(self) -> float:
        """Return the seconds until Topsort may be asked again: 0 for now."""
        return self._circuit.get_delay(self._clock()) or 0.0

    def get_delay(self) -> float:
        """Return the seconds until the first of what waits is due, infinite where nothing waits.

        Whoever has put it off. Raises what the database does.
        """
        now = get_database_time(self.using)
        rows = OutboxEvent.objects.using(self.using)
        dues = [rows.get_first_due(kind, DESTINATION) for kind in RELAY_ORDER]
        delays = [(due - now).total_seconds() for due in dues if due is not None]
        return max(self.get_pause(), min(delays, default=math.inf))

    def run(self, should_go_on: Callable[[], bool]) -> int:
        """Send what is due, until nothing is or ``should_go_on()`` says no; return how many rows.

        Raises what the database does.
        """
        done = 0
        while should_go_on() and not self.get_pause():
            rows = self.send_batch()
            if not rows:
                break
            done += rows
        return done

    def send_batch(self) -> int:
        """Send at most 50 of each kind of what is due; return how many rows were claimed."""
        now, begun = get_database_time(self.using), self._clock()
        token = str(uuid.uuid4())
        seconds = read_number("TOPSORT_OUTBOX_LEASE", 1)
        lease = Lease(token, now, now + timedelta(seconds=seconds))
        rows = self._claim(lease)
        announced = [row for row in rows if row.is_announcement]
        finish_announcements(announced, token, self._report, now, self._put_off)
        readings = self._read([row for row in rows if not row.is_announcement], token, now)
        if readings:
            self._send(readings, lease, begun)
        return len(rows)

    def _claim(self, lease: Lease) -> list[OutboxEvent]:
        most = PROBE_EVENTS if self._circuit.is_open else MAX_PER_KIND
        rows: list[OutboxEvent] = []
        for kind in RELAY_ORDER:
            some = OutboxEvent.objects.using(self.using)
            rows += some.claim(kind, DESTINATION, most, lease)
        return rows

    def _read(self, rows: Iterable[OutboxEvent], token: str, now: datetime) -> list[Reading]:
        """Return the rows with their events; what cannot be read is a dead letter."""
        readings = []
        for row in rows:
            try:
                readings.append(Reading(row, read_event(row)))
            except InvalidEvent as error:
                given = show(f"not readable: {error.field}: {error.rule}", MAX_ERROR)
                self._update([row], token, status=Status.DEAD, settled_at=now, last_error=given)
                said = "outbox row not readable id=%s kind=%s; it is a dead letter"
                log_safely(logging.ERROR, ("unreadable", row.kind), said, row.pk, row.kind)
        return readings

    def _send(self, readings: Sequence[Reading], lease: Lease, begun: float) -> None:
        deadline = begun + (lease.until - lease.now).total_seconds() * PART_FOR_POSTING
        events = [reading.event for reading in readings]
        accounts.count_taken(events)
        is_probe = self._circuit.start()
        started = self._clock()
        outcome = Outcome(waiting=list(events))
        with lineage.sending(events):
            try:
                outcome = post_batch(
                    build_request(events), lambda body: self._post(body, deadline), encode_body
                )
            finally:
                self._weigh(outcome, readings, started)
                self._circuit.note(outcome, self._clock(), is_probe=is_probe)
                # The database is not asked for the time, as it may be gone by now.
                now = lease.now + timedelta(seconds=self._clock() - begun)
                self._settle(outcome, readings, lease.token, now)

    def _post(self, body: bytes, deadline: float) -> None:
        left = deadline - self._clock()
        if left <= 0:
            raise NoAnswer("the lease is about to end")
        post_body(body, left)

    def _weigh(self, outcome: Outcome, readings: Sequence[Reading], started: float) -> None:
        """Let those rows wait whose refusal proves nothing, as Topsort takes no others either."""
        attempts = {(row.kind, event.id): row.attempts for row, event in readings}
        is_new = any(row.attempts == 0 and row.pk not in self._cut for row, _ in readings)
        self._refusals.weigh(
            outcome,
            started=started,
            refused_since=None if is_new else self._refused_since,
            is_last=lambda event: attempts[event.kind, event.id] + 1 >= TRIES_IN_DOUBT,
        )
        if outcome.delivered:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = started

    def _settle(
        self, outcome: Outcome, readings: Sequence[Reading], token: str, now: datetime
    ) -> None:
        rows = {(row.kind, event.id): row for row, event in readings}

        def find(events: Iterable[Event]) -> list[OutboxEvent]:
            return [rows[event.kind, event.id] for event in events]

        report = self._report
        # Said when all is written down, and all of it, even if a receiver throws a SystemExit.
        with ExitStack() as sayings:
            if outcome.waiting:
                self._put_back(outcome, find(outcome.waiting), token, now, sayings)
            for event, error in reversed(outcome.rejected):
                said = shorten(error)
                self._update(
                    find([event]), token, status=Status.REJECTED, settled_at=now, last_error=said
                )
                sayings.callback(report.rejected, [event], error)
            if outcome.delivered:
                done = find(outcome.delivered)
                self._update(done, token, status=Status.DELIVERED, settled_at=now, last_error="")
                sayings.callback(report.delivered, outcome.delivered)

    def _put_back(
        self,
        outcome: Outcome,
        rows: Sequence[OutboxEvent],
        token: str,
        now: datetime,
        sayings: ExitStack,
    ) -> None:
        error = outcome.error
        age = timedelta(seconds=read_number("TOPSORT_OUTBOX_MAX_AGE", 1))
        # A setting that is wrong is no fault of the events: they are not given up for it.
        is_final = error is None or not error.configuration
        gone = [row for row in rows if is_final and now - row.created_at > age]
        keys = {row.pk for row in gone}
        said = "" if error is None else shorten(error)
        if gone:
            self._update(gone, token, status=Status.DEAD, settled_at=now, last_error=said)
        # Cut short because the batch had cost enough: nobody has asked about these alone.
        is_cut = error is None and bool(outcome.delivered or outcome.rejected)
        for attempts in {row.attempts for row in rows}:
            some = [row for row in rows if row.attempts == attempts and row.pk not in keys]
            if is_cut:
                self._cut = {row.pk for row in some}
                self._update(some, token, due_at=now, lease_token="")
            else:
                self._put_off(some, token, now, said, error)
        pairs = list(zip(outcome.waiting, rows, strict=True))
        accounts.count_stored([event for event, row in pairs if row.pk not in keys])
        if gone:
            dead = [event for event, row in pairs if row.pk in keys]
            sayings.callback(self._report.dropped, dead, "dead_letter")
        if error is not None:
            sayings.callback(self._report.failed, error, len(outcome.waiting))

    def _put_off(
        self,
        rows: Sequence[OutboxEvent],
        token: str,
        now: datetime,
        said: str,
        error: ApiError | None = None,
    ) -> None:
        """Let rows that have failed equally often be due later, by as much as that is."""
        if not rows:
            return
        is_own = error is None or not error.configuration
        attempts = rows[0].attempts + is_own
        pause = get_backoff(attempts, self._rand, FIRST_BACKOFF, LONGEST_BACKOFF)
        if error is not None and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, LONGEST_BACKOFF))
        due_at = now + timedelta(seconds=pause)
        self._update(rows, token, attempts=attempts, due_at=due_at, last_error=said, lease_token="")

    def _update(self, rows: Sequence[OutboxEvent], token: str, **values: object) -> None:
        """Change rows, but for those whose lease another relay has by now.

        Where the database refuses, the lease ends by itself, and the rows are sent again. It is
        asked twice, because it may have been restarted while Topsort was asked.
        """
        leased = OutboxEvent.objects.using(self.using).leased([row.pk for row in rows], token)
        for is_last in (False, True):
            try:
                leased.update(**values)
                return
            except DatabaseError as error:
                if is_last:
                    said = "outbox not updated rows=%s; they are sent again when their lease ends"
                    log_safely(logging.ERROR, ("update",), said, len(rows), error=error)
                else:
                    connections[self.using].close_if_unusable_or_obsolete()


def shorten(error: ApiError) -> str:
    """Return what a person needs to know of an error, in what the column holds."""
    said = f"{type(error).__name__} {describe_error(error)}: {explain_error(error)}"
    return show(said, MAX_ERROR)
