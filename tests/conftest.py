"""What every test starts with, so that none depends on another's order."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings

from django_topsort import reporting, routing, tracebacks
from django_topsort.backends import locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.signals import events_dropped

# A machine that measures coverage on all its cores is slow at times; that is no finding.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _clean_memory() -> Iterator[None]:
    """Leave no event, no cached value and no silenced log line to the next test.

    Nor an outbox, which asks a database that the next test may not have.
    """
    yield
    routing._backends.pop("django_topsort.outbox.backend.EventBackend", None)
    locmem.outbox.clear()
    cache.clear()
    reporting.log_limit.clear()
    tracebacks.forget_shown()


@pytest.fixture
def own_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test have backends of its own, with nothing in them and nothing left by them."""
    own: dict[str, BaseEventBackend] = {}
    monkeypatch.setattr(routing, "_backends", own)
    yield
    with override_settings(TOPSORT_SHUTDOWN_TIMEOUT=0):
        for backend in own.values():
            backend.close()


@pytest.fixture
def drops() -> Iterator[list[tuple[str, str, int]]]:
    """What was given up during the test: kind, reason, count."""
    seen: list[tuple[str, str, int]] = []

    def note(kind: str, reason: str, count: int, **kwargs: object) -> None:
        seen.append((kind, reason, count))

    events_dropped.connect(note)
    yield seen
    events_dropped.disconnect(note)


@pytest.fixture
def served() -> Iterator[None]:
    """Let a test call Django's handlers directly: as a server does, but for the tests' database."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
