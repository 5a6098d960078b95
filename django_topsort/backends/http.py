"""Posts in the caller, after the response: for commands, tests and where no thread may run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django_topsort.backends.base import BaseEventBackend, encode_body
from django_topsort.batches import build_batches
from django_topsort.sending.posting import post_batch

if TYPE_CHECKING:
    from django_topsort.events import Event


class EventBackend(BaseEventBackend):
    """Posts events at once and once: what fails is dropped as ``"failed"``, and logged.

    It holds up the process for as long as Topsort takes to answer, ``TOPSORT_TIMEOUT`` at most per
    request; after the first failure nothing more of the same call is tried.
    """

    blocking = True

    def send_events(self, events: Sequence[Event]) -> None:
        from django_topsort.backends.connections import post_body  # loads requests

        batches = build_batches(events)
        for index, batch in enumerate(batches):
            outcome = post_batch(batch, post_body, encode_body)
            if outcome.delivered:
                self.report.delivered(outcome.delivered)
            for event, error in outcome.rejected:
                self.report.rejected([event], error)
            if outcome.waiting:
                if outcome.error is not None:
                    self.report.failed(outcome.error, 0)
                left = [*outcome.waiting, *(one for rest in batches[index + 1 :] for one in rest)]
                self.report.dropped(left, "failed")
                return
