"""Appends events to a file as JSON lines: for development, and for shops that ship files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from django_topsort.backends.base import BaseEventBackend
from django_topsort.conf import topsort_settings
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.wire import encode_event

if TYPE_CHECKING:
    from django_topsort.events import Event


class EventBackend(BaseEventBackend):
    """Appends one line per event to ``TOPSORT_FILE_PATH``: ``{"kind": ..., "event": {...}}``.

    The lines of one call are written at once, so that those of several processes do not mix.
    """

    blocking = True
    production = False

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def send_events(self, events: Sequence[Event]) -> None:
        """Append ``events``.

        Raises TopsortConfigurationError without a path, and OSError as ``open`` does.
        """
        path = topsort_settings.TOPSORT_FILE_PATH
        if not path:
            message = "TOPSORT_FILE_PATH is empty; the filebased backend needs the path of a file"
            raise TopsortConfigurationError(message)
        field = topsort_settings.TOPSORT_CATEGORY_FIELD
        lines = b"".join(
            b'{"kind":"%s","event":%s}\n' % (event.kind.encode(), encode_event(event, field))
            for event in events
        )
        with self._lock, Path(path).open("ab", buffering=0) as file:
            while lines:  # a disk that is nearly full takes a part
                lines = lines[file.write(lines) :]
        self.report.delivered(events)

    def check(self) -> list[CheckMessage]:
        if topsort_settings.TOPSORT_FILE_PATH:
            return []
        return [
            Error(
                "The filebased backend has no file to write to.",
                hint="Set TOPSORT_FILE_PATH to the path of a file that the process may append to.",
                id="django_topsort.E012",
            )
        ]
