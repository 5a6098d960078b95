from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.servers.serving import Site, get_kinds, serve


@pytest.fixture(scope="package")
def shared_api() -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_servers") as api:
        yield api


@pytest.fixture(scope="package", params=get_kinds())
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
    """A site that has recorded nothing yet."""
    shared_site.forget()
    return shared_site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: object) -> Generator[None, Any, Any]:
    """Show what the server said beside a test that failed."""
    report = yield
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(site, Site):
        report.sections.append((f"what {site.kind} said", site.read_log()[-5000:]))
    return report
