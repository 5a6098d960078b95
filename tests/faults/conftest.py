from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_topsort.testing import FakeApi
from tests.faults.store import KEY, QUICKLY, Store, open_store


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("store") / "log") as store:
        yield store


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        yield api


@pytest.fixture
def store(shared_store: Store, api: FakeApi) -> Store:
    """A shop that reports to ``api`` and has reported nothing yet; its circuit opens shortly."""
    shared_store.renew(api.url, pauses=QUICKLY)
    return shared_store
