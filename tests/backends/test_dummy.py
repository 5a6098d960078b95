"""The backend that does nothing with events."""

from __future__ import annotations

from django_topsort.accounts import accounts
from django_topsort.backends import dummy
from django_topsort.backends.base import BaseEventBackend
from django_topsort.signals import events_dropped
from django_topsort.testing import BackendContract
from tests.sending.engine import Heard, build_events


class TestContract(BackendContract):
    discards = True

    def make_backend(self) -> BaseEventBackend:
        return dummy.EventBackend()


def test_events_are_counted_as_disabled_and_not_announced() -> None:
    heard = Heard()
    before = accounts.get_counts()["clicks"]["reasons"].get("disabled", 0)
    events_dropped.connect(heard)
    try:
        dummy.EventBackend().send_events(build_events(3, "clicks"))
    finally:
        events_dropped.disconnect(heard)

    assert accounts.get_counts()["clicks"]["reasons"]["disabled"] == before + 3
    assert heard == []
    assert not dummy.EventBackend.production
