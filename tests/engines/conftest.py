from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_topsort.testing import FakeApi
from tests.engines.brokers import BROKERS, Broker, find_missing
from tests.engines.shop import Shop

# Each broker's tests in one process of pytest-xdist, so that it is started once.
GROUPS = [pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in BROKERS]


@pytest.fixture(scope="session", params=GROUPS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A broker for all tests, each of which has a queue of its own."""
    kind = request.param
    if missing := find_missing(kind):
        pytest.skip(missing)
    broker = BROKERS[kind](tmp_path_factory.mktemp(kind))
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def shop(broker: Broker, tmp_path: Path) -> Iterator[Shop]:
    with FakeApi() as api:
        yield Shop(api, tmp_path, broker)
