"""Does nothing with events: reporting is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django_topsort.backends.base import BaseEventBackend

if TYPE_CHECKING:
    from django_topsort.events import Event


class EventBackend(BaseEventBackend):
    """Drops events, counted as ``"disabled"``."""

    production = False

    def send_events(self, events: Sequence[Event]) -> None:
        self.report.disabled(events)
