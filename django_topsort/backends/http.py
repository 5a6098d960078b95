"""Posts in the caller, after the response: for commands, tests and where no thread may run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django_topsort.backends.base import BaseEventBackend, encode_body
from django_topsort.batches import build_batches
from django_topsort.exceptions import NoAnswer
from django_topsort.loading import posting
from django_topsort.sending.posting import post_batch
from django_topsort.wire import build_request

if TYPE_CHECKING:
    from django_topsort.events import Event


class EventBackend(BaseEventBackend):
    """Posts events at once, without a second try: what fails is the overflow's, or is dropped.

    It holds up the process for as long as Topsort takes to answer, but for no longer than both
    parts of ``TOPSORT_TIMEOUT`` together, however many requests there are: more than 50 of a kind
    make several, and so does a batch that is refused, until the events at fault stand alone.
    """

    blocking = True

    def send_events(self, events: Sequence[Event]) -> None:
        with posting.lock:
            from django_topsort.backends.connections import get_timeout, post_body  # loads requests

        deadline = time.monotonic() + sum(get_timeout())

        def post(body: bytes) -> None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoAnswer("the time for this call is up")
            post_body(body, left)

        batches = deque(build_batches(events))
        while batches:
            outcome = post_batch(batches.popleft(), post, encode_body)
            if outcome.duplicates:
                self.report.dropped(outcome.duplicates, "duplicate")
            if outcome.delivered:
                self.report.delivered(outcome.delivered)
            for event, error in outcome.rejected:
                self.report.rejected([event], error)
            if outcome.error is not None:
                self.report.failed(outcome.error, 0)
                left: Sequence[Event] = [
                    *outcome.waiting,
                    *(one for rest in batches for one in rest),
                ]
                if left := self.overflow(left):
                    self.report.dropped(left, "failed")
                return
            if outcome.waiting:
                batches.appendleft(build_request(outcome.waiting))  # it had cost enough at once
