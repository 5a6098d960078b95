"""The shop with its toolbar, and what the panel has of its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client, override_settings

from django_topsort.contrib.debug_toolbar import recording
from tests.browser.sending import FIREFOX
from tests.contrib.debug_toolbar import settings as of_shop

NAMES = (
    "DEBUG",
    "INTERNAL_IPS",
    "MIDDLEWARE",
    "ROOT_URLCONF",
    "STATIC_URL",
    "TOPSORT_STRICT",
)
HEADERS: Any = {"user-agent": FIREFOX}

# Of a toolbar that is read back from its store, as a browser that opens the panel has it read.
GetPanel = Callable[[], Any]


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    # The apps look at the other settings when they are loaded.
    with (
        override_settings(**{name: getattr(of_shop, name) for name in NAMES}),
        override_settings(INSTALLED_APPS=of_shop.INSTALLED_APPS),
    ):
        yield
    recording.disconnect()  # or each event of the tests that follow would cost more


@pytest.fixture
def get_panel() -> Iterator[GetPanel]:
    """Return a function that returns the panel of the last request."""
    from debug_toolbar.store import get_store
    from debug_toolbar.toolbar import DebugToolbar

    def get() -> Any:
        toolbar: Any = DebugToolbar.fetch([*store.request_ids()][-1])
        return toolbar.get_panel_by_id("TopsortPanel")

    store: Any = get_store()
    store.clear()
    yield get
    store.clear()


@pytest.fixture
def shopper() -> Client:
    return Client(headers=HEADERS)


@pytest.fixture
def shopper_on_loop() -> AsyncClient:
    return AsyncClient(headers=HEADERS)
