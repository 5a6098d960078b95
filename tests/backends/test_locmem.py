"""The backend that keeps events in memory."""

from __future__ import annotations

from collections.abc import Collection

from django_topsort.backends import locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.testing import BackendContract


class TestContract(BackendContract):
    def make_backend(self) -> BaseEventBackend:
        locmem.outbox.clear()
        return locmem.EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(event.kind, event.id) for event in locmem.outbox]


def test_backend_is_for_tests() -> None:
    assert not locmem.EventBackend.production
    assert not locmem.EventBackend.blocking
