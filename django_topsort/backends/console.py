"""Writes events to the console: for development."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import msgspec

from django_topsort.backends.base import BaseEventBackend, encode_body
from django_topsort.batches import build_batches

if TYPE_CHECKING:
    from django_topsort.events import Event


class EventBackend(BaseEventBackend):
    """Writes each request's JSON, indented, as it would go to Topsort."""

    blocking = True
    production = False

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream
        self._lock = threading.Lock()

    def send_events(self, events: Sequence[Event]) -> None:
        stream = self._stream or sys.stdout
        for batch in build_batches(events):
            body = msgspec.json.format(encode_body(batch), indent=2).decode()
            counts = ", ".join(
                f"{len(getattr(batch, kind))} {kind}"
                for kind in batch.__struct_fields__
                if getattr(batch, kind)
            )
            with self._lock:
                stream.write(f"POST /v2/events  {counts}\n{body}\n{'-' * 79}\n")
                stream.flush()
            self.report.delivered(list(batch))
