"""Keeps events in memory: for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django_topsort.backends.base import BaseEventBackend

if TYPE_CHECKING:
    from django_topsort.events import Event

outbox: list[Event] = []
"""The events that this backend has taken, in order; a test clears it with ``outbox.clear()``."""


class EventBackend(BaseEventBackend):
    """Appends events to ``django_topsort.backends.locmem.outbox``."""

    production = False

    def send_events(self, events: Sequence[Event]) -> None:
        outbox.extend(events)
        self.report.delivered(events)
