"""The market for tests; a module asks for it with ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.faults.databases import Database, make_database
from tests.faults.shops import KEY, Shop


@pytest.fixture
def market_database(tmp_path: Path, django_db_blocker: Any) -> Iterator[Database]:
    with django_db_blocker.unblock(), make_database(tmp_path) as database:
        yield database


@pytest.fixture
def shop(market_database: Database, tmp_path: Path) -> Iterator[Shop]:
    """A market with empty tables, whose API has received nothing."""
    with FakeApi(api_key=KEY, keep=100_000) as api:
        shop = Shop(market_database, api, tmp_path)
        try:
            shop.migrate()
            yield shop
        finally:
            shop.close()
