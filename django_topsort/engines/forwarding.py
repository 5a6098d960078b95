"""From messages to Topsort: post what they hold, and say of each what is left of it."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from django_topsort.accounts import accounts
from django_topsort.backends.base import encode_body
from django_topsort.backends.engine import Message, build_messages, read_message
from django_topsort.backends.thread import post_body, read_number
from django_topsort.batches import build_batches
from django_topsort.delivery import log_safely
from django_topsort.exceptions import InvalidEvent
from django_topsort.lineage import lineage
from django_topsort.routing import get_instance
from django_topsort.sending.circuit import LONGEST_RETRY_AFTER, Circuit, get_backoff
from django_topsort.sending.posting import Outcome, post_batch
from django_topsort.sending.refusals import Refusals

if TYPE_CHECKING:
    from django_topsort.backends.base import BaseEventBackend
    from django_topsort.events import Event
    from django_topsort.exceptions import ApiError
    from django_topsort.wire import EventsRequest

FIRST_BACKOFF = 5.0  # seconds
# RabbitMQ takes a message for lost that a worker keeps for half an hour, and Redis one that is kept
# for an hour: an engine's worker keeps those that are due later.
LONGEST_BACKOFF = 600.0
# While Topsort does not answer, a worker waits so long before it puts a message off. So what has
# piled up stays with the broker, and does not go round by way of the workers' memory.
HOLDING_SECONDS = 10.0
TRIES_IN_DOUBT = 6  # as the outbox's relay has it


class Leftover(Struct, frozen=True):
    """What is left of one message: new ones, to be worked at in ``pause`` seconds; often none."""

    messages: list[Message]
    pause: float = 0.0


class Forwarder:
    """Posts messages for the workers of one process, also for several at a time.

    ``backend`` has recorded them, here or elsewhere: it says what became of the events. ``clock``
    gives seconds that never go back, ``now`` those since 1970, and ``sleep`` waits.
    """

    def __init__(
        self,
        backend: BaseEventBackend,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._rand = rand
        self._lock = threading.Lock()
        self._circuit = Circuit(rand)
        self._refusals = Refusals()
        self._refused_since: float | None = None
        self._last_error: ApiError | None = None  # for which Topsort is not asked at present

    def forward(self, messages: Sequence[Message]) -> list[Leftover]:
        """Post all events of ``messages`` in as few requests as they fit in.

        Returns one leftover for each message. What is too old to be tried again goes to the
        overflow, or is dropped as ``"expired"``. Raises only what is thrown into it, such as a time
        limit: then nothing is lost if all messages are worked at again.
        """
        readings = [self._read(message) for message in messages]
        events = [event for some in readings for event in some]
        accounts.count_taken(events)
        unsettled = {id(event): event for event in events}
        errors: dict[int, ApiError | None] = {}
        try:
            with lineage.sending(events):
                self._post_all(messages, readings, unsettled, errors)
        except BaseException:
            accounts.count_stored(list(unsettled.values()))
            raise
        return [
            self._build_leftover(
                message, [event for event in some if id(event) in unsettled], errors
            )
            for message, some in zip(messages, readings, strict=True)
        ]

    def _read(self, message: Message) -> list[Event]:
        try:
            return read_message(message)
        except InvalidEvent as error:
            said = "message not readable field=%s: %s; it is thrown away"
            log_safely(logging.ERROR, ("message", error.field), said, error.field, error.rule)
            return []

    def _post_all(
        self,
        messages: Sequence[Message],
        readings: Sequence[Sequence[Event]],
        unsettled: dict[int, Event],
        errors: dict[int, ApiError | None],
    ) -> None:
        """Post until something stands in the way; ``unsettled`` keeps what is to be tried again."""
        attempts = {
            id(event): message.attempts
            for message, some in zip(messages, readings, strict=True)
            for event in some
        }
        is_new = any(message.attempts == 0 for message in messages)
        for batch in build_batches([event for some in readings for event in some]):
            if not self._may_post():
                return
            outcome = self._post(batch, attempts, is_new=is_new)
            for event in outcome.waiting:
                errors[id(event)] = outcome.error
            self._report(outcome, unsettled)
            if outcome.error is not None and not outcome.error.isolate:
                return

    def _may_post(self) -> bool:
        """Whether Topsort may be asked: at once, or after a moment's wait."""
        with self._lock:
            delay = self._circuit.get_delay(self._clock())
        if delay == 0:
            return True
        self._sleep(HOLDING_SECONDS if delay is None else min(delay, HOLDING_SECONDS))
        with self._lock:
            return self._circuit.get_delay(self._clock()) == 0

    def _post(self, batch: EventsRequest, attempts: dict[int, int], *, is_new: bool) -> Outcome:
        with self._lock:
            is_probe = self._circuit.start()
            started = self._clock()
        outcome = Outcome()
        try:
            outcome = post_batch(batch, post_body, encode_body)
        finally:
            with self._lock:
                self._refusals.weigh(
                    outcome,
                    started=started,
                    refused_since=None if is_new else self._refused_since,
                    is_last=lambda event: attempts[id(event)] + 1 >= TRIES_IN_DOUBT,
                )
                self._note(outcome, started, is_probe=is_probe)
        return outcome

    def _note(self, outcome: Outcome, started: float, *, is_probe: bool) -> None:
        if outcome.delivered:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = started
        if outcome.error is not None and not outcome.error.isolate:
            self._last_error = outcome.error
        self._circuit.note(outcome, self._clock(), is_probe=is_probe)

    def _report(self, outcome: Outcome, unsettled: dict[int, Event]) -> None:
        report = self._backend.report
        rejected = [event for event, _ in outcome.rejected]
        for event in (*outcome.delivered, *outcome.duplicates, *rejected):
            unsettled.pop(id(event), None)
        if outcome.duplicates:
            report.dropped(outcome.duplicates, "duplicate")
        if outcome.delivered:
            report.delivered(outcome.delivered)
        for event, error in outcome.rejected:
            report.rejected([event], error)
        if outcome.error is not None:
            report.failed(outcome.error, len(outcome.waiting))

    def _build_leftover(
        self, message: Message, events: list[Event], errors: dict[int, ApiError | None]
    ) -> Leftover:
        if not events:
            return Leftover([])
        is_tried = any(id(event) in errors for event in events)
        known = (errors.get(id(event)) for event in events)
        error = next((one for one in known if one is not None), None)
        if not is_tried:
            error = self._last_error
        # A setting that is wrong is no fault of the events: they are not given up for it.
        is_own = error is None or not error.configuration
        age = self._now() - message.since
        if is_own and age > read_number("TOPSORT_ENGINE_MAX_AGE", 1):
            self._give_up(events)
            return Leftover([])
        attempts = message.attempts + (is_tried and is_own)
        pause = get_backoff(attempts, self._rand, FIRST_BACKOFF, LONGEST_BACKOFF)
        if error is not None and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, LONGEST_RETRY_AFTER))
        accounts.count_stored(events)
        return Leftover(build_messages(events, message.since, attempts), pause)

    def _give_up(self, events: Sequence[Event]) -> None:
        if left := self._backend.overflow(events):
            self._backend.report.dropped(left, "expired")


_forwarders: dict[tuple[int, str], Forwarder] = {}


def get_forwarder(path: str) -> Forwarder:
    """Return this process's forwarder for the backend at the dotted ``path``.

    The process is compared each time: a fork may be silent. Raises TopsortConfigurationError as
    ``routing.get_instance`` does.
    """
    key = (os.getpid(), path)
    forwarder = _forwarders.get(key)
    if forwarder is None:
        forwarder = _forwarders.setdefault(key, Forwarder(get_instance(path)))
        for other in [known for known in _forwarders if known[0] != key[0]]:
            _forwarders.pop(other, None)
    return forwarder
