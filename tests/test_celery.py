"""What Celery tells us; tests/faults has the same with its real workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.dispatch import Signal

from django_topsort import celery, routing
from django_topsort.testing import FakeApi
from django_topsort.tracking import record
from tests.sending.engine import build_event


@pytest.fixture
def shutdown(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Signal]:
    """The signal of a Celery that has been loaded."""
    signal = Signal()
    signals = SimpleNamespace(worker_process_shutdown=signal)
    monkeypatch.setitem(sys.modules, "celery.signals", signals)
    settings.TOPSORT_BACKENDS = {"default": "django_topsort.backends.thread.EventBackend"}
    settings.TOPSORT_FLUSH_INTERVAL = 600
    yield signal
    routing.reopen_backends()


def test_process_of_celery_that_ends_sends_what_waits(shutdown: Signal, settings: Any) -> None:
    celery.connect()
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        record(build_event(event_id="waiting"))

        shutdown.send(sender=None, pid=1, exitcode=0)

        assert [event["id"] for event in api.events] == ["waiting"]


def test_connecting_without_celery_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "celery.signals", raising=False)

    celery.connect()

    assert "celery.signals" not in sys.modules
