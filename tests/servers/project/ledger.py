"""The site's own account: a line in the file named by SITE_LEDGER for each event it speaks of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django_topsort.events import Event
from django_topsort.signals import event_recorded, events_dropped

# One write to a file that is appended to: lines of several threads and processes do not mix.
_ledger = os.open(
    os.environ.get("SITE_LEDGER", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
)


def note_recorded(event: Event, **kwargs: Any) -> None:
    os.write(_ledger, f"recorded {event.kind} {event.id}\n".encode())


def note_dropped(kind: str, reason: str, events: Sequence[Event], **kwargs: Any) -> None:
    for event in events:
        os.write(_ledger, f"{reason} {kind} {event.id}\n".encode())


event_recorded.connect(note_recorded)
events_dropped.connect(note_dropped)
