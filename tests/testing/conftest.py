"""A FakeApi for each test, and a connection to it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from django_topsort.testing import FakeApi
from tests.testing.wire_format import build_connection


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def connection(api: FakeApi) -> Iterator[http.client.HTTPConnection]:
    connection = build_connection(api)
    yield connection
    connection.close()
