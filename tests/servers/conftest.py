from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_topsort.testing import FakeApi
from tests.servers.serving import COMMANDS, Site, serve


@pytest.fixture(scope="package")
def shared_api() -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_servers") as api:
        yield api


@pytest.fixture(scope="package", params=COMMANDS)
def shared_site(
    request: pytest.FixtureRequest, shared_api: FakeApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    log = tmp_path_factory.mktemp(request.param) / "log"
    with serve(
        request.param, log, TOPSORT_API_URL=shared_api.url, TOPSORT_FLUSH_INTERVAL=0.1
    ) as site:
        yield site


@pytest.fixture
def api(shared_api: FakeApi) -> Iterator[FakeApi]:
    """An API that has received nothing yet and has no fault."""
    shared_api.clear()
    yield shared_api
    shared_api.clear_faults()


@pytest.fixture
def site(shared_site: Site, api: FakeApi) -> Site:
    return shared_site
