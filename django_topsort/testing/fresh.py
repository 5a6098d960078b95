"""The default backend, made anew for one test.

A backend lives as long as its process. What one test did to it, such as a circuit that a 401 has
opened for a minute, would be felt by the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.test import override_settings

from django_topsort.backends import thread
from django_topsort.backends.base import BaseEventBackend

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.userlinks import UserLink

FLUSH_TIMEOUT = 5.0

_fresh: list[BaseEventBackend] = []


class EventBackend(BaseEventBackend):
    """Passes events on to the backend of the test that runs."""

    def send_events(self, events: Sequence[Event]) -> None:
        if _fresh:
            _fresh[-1].send_events(events)
        else:
            self.report.disabled(events)  # from a thread that has outlived its test

    def link_users(self, link: UserLink) -> None:
        if _fresh:
            _fresh[-1].link_users(link)
        else:
            super().link_users(link)

    def flush(self, timeout: float) -> bool:
        return all(backend.flush(timeout) for backend in _fresh)


@contextmanager
def use_fresh_backend() -> Iterator[None]:
    """Send events through a new backend within the block; what waits at its end is sent."""
    backend = thread.EventBackend()
    path = f"{EventBackend.__module__}.EventBackend"
    with override_settings(TOPSORT_BACKENDS={"default": path}):
        _fresh.append(backend)
        try:
            yield
            backend.flush(FLUSH_TIMEOUT)
        finally:
            _fresh.remove(backend)
            backend.close()
