from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from django_topsort.outbox import background, testruns
from django_topsort.testing import FakeApi
from tests.shops.oscar.shoppers import Catalogue, Shopper


def pytest_configure(config: pytest.Config) -> None:
    """Let Oscar and what it needs warn of what they will have to change; that is theirs."""
    kinds = ("DeprecationWarning", "PendingDeprecationWarning", "UserWarning", "SyntaxWarning")
    for what in (*kinds, "Warning:haystack"):
        config.addinivalue_line("filterwarnings", f"ignore::{what}")


@pytest.fixture(autouse=True)
def _nothing_leaves(topsort_api: FakeApi) -> None:
    """Send what the tests' pages report to a server of the tests."""


@pytest.fixture
def catalogue(db: None) -> Catalogue:
    return Catalogue()


@pytest.fixture
def shopper(catalogue: Catalogue) -> Shopper:
    return Shopper(Client(), catalogue)


@pytest.fixture
def api(
    transactional_db: None, topsort_api: FakeApi, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeApi]:
    """The stand-in for Topsort's API; purchases come to it by way of the outbox."""
    monkeypatch.setattr(testruns, "test_run", testruns.TestRun())
    path = "django_topsort.outbox.backend.EventBackend"
    settings.TOPSORT_BACKENDS = {**settings.TOPSORT_BACKENDS, "purchases": path}
    yield topsort_api
    background.close_relay()


@pytest.fixture
def raising_receiver() -> Iterator[None]:
    """A receiver of the shop's own that raises at each event."""
    from django_topsort.signals import event_recorded

    def fail(**kwargs: Any) -> None:
        raise ZeroDivisionError

    event_recorded.connect(fail)
    yield
    event_recorded.disconnect(fail)
