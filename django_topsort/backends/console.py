"""Writes events to the console: for development."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import msgspec

from django_topsort.backends.base import BaseEventBackend, encode_body
from django_topsort.batches import build_batches
from django_topsort.events import EVENT_KINDS

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
        texts = []
        for batch in build_batches(events):
            body = msgspec.json.format(encode_body(batch), indent=2).decode()
            counts = ", ".join(
                _say_count(len(getattr(batch, kind)), kind)
                for kind in EVENT_KINDS
                if getattr(batch, kind)
            )
            texts.append(f"POST /v2/events  {counts}\n{body}\n{'-' * 79}\n")
        with self._lock:
            stream.write("".join(texts))
            stream.flush()
        self.report.delivered(events)


def _say_count(count: int, kind: str) -> str:
    words = "page views" if kind == "pageviews" else kind
    return f"{count} {words.removesuffix('s') if count == 1 else words}"
