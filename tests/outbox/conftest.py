"""The outbox in tests: on the default database, with an API that listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Model

from django_topsort.outbox import background, testruns
from django_topsort.outbox.models import OutboxEvent
from django_topsort.testing import FakeApi

OUTBOX = "django_topsort.outbox.backend.EventBackend"
LOCMEM = "django_topsort.backends.locmem.EventBackend"


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        yield api


@pytest.fixture(autouse=True)
def outbox(settings: Any, own_backends: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Purchases go to the outbox as in a shop; no test leaves its relay to the next."""
    monkeypatch.setattr(testruns, "test_run", testruns.TestRun())
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 600  # the disk of a loaded machine is slow
    yield
    background.close_relay()
    names = [thread.name for thread in threading.enumerate()]
    assert "django-topsort-outbox" not in names


class OutboxElsewhere:
    """A router that puts the outbox into the database that threads can share."""

    def db_for_write(self, model: type[Model], **hints: object) -> str | None:
        return "other" if model._meta.app_label == OutboxEvent._meta.app_label else None

    db_for_read = db_for_write


@pytest.fixture
def shared_database(settings: Any) -> str:
    """Keep the outbox where other threads see it; the test needs both databases."""
    settings.DATABASE_ROUTERS = [OutboxElsewhere()]
    return "other"
