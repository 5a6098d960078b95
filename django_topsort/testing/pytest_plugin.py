"""The fixtures for pytest: ``topsort_events`` and ``topsort_api``.

pytest loads this in every project that has the package installed, so that it imports nothing of
Django, and nothing of this package, before a test asks for a fixture.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_topsort.testing.capture import CapturedEvents
    from django_topsort.testing.fake_api import FakeApi

API_KEY = "TSE_pytest"
NO_SETTINGS = (
    "configure Django's settings first: install pytest-django and set DJANGO_SETTINGS_MODULE in "
    "pytest's configuration or in the environment, or call settings.configure(...) in conftest.py"
)


@pytest.fixture
def topsort_events() -> Iterator[CapturedEvents]:
    """The events of the test, caught before they go anywhere: see ``capture_events``."""
    _require_settings()
    from django_topsort.testing.capture import capture_events

    with capture_events() as events:
        yield events


@pytest.fixture
def topsort_api() -> Iterator[FakeApi]:
    """A ``FakeApi`` to which the events of the test go, through the default backend.

    ``TOPSORT_API_URL``, ``TOPSORT_API_KEY``, ``TOPSORT_BACKENDS`` and a short
    ``TOPSORT_FLUSH_INTERVAL`` are set for the test. What waits is sent when it ends, and no test
    feels what another did to the backend. Wait for events with ``topsort_api.wait_for(...)``. A
    purchase goes out when its transaction commits, which needs pytest-django's
    ``transactional_db``, or ``django_capture_on_commit_callbacks``.
    """
    _require_settings()
    from django.test import override_settings

    from django_topsort.testing.fake_api import FakeApi
    from django_topsort.testing.fresh import use_fresh_backend

    with (
        FakeApi(api_key=API_KEY) as api,
        override_settings(
            TOPSORT_API_URL=api.url, TOPSORT_API_KEY=API_KEY, TOPSORT_FLUSH_INTERVAL=0.02
        ),
        use_fresh_backend(),
    ):
        yield api
        api.clear_faults()  # or the flush would wait for a fault that is in force still
        api.resume()


def _require_settings() -> None:
    """Fail the test with a sentence, not with what overriding settings says that are not there."""
    from django.conf import ENVIRONMENT_VARIABLE, settings

    if not settings.configured and not os.environ.get(ENVIRONMENT_VARIABLE):
        pytest.fail(NO_SETTINGS, pytrace=False)
    _ = settings.DATABASES  # settings are read at their first use, and an override is none
