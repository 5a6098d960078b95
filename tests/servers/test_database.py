"""Nothing of ours touches the database when a response is out: a connection would be left open."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from django_topsort.testing import FakeApi
from tests.databases import build_database
from tests.servers.serving import Site, name_visit, serve, wait_until

pytestmark = pytest.mark.servers

REQUESTS = 10


def count_connections(site: Site) -> int:
    """Return how many connections to its database the site holds open."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        return count_sessions(build_database(url))
    descriptors = itertools.chain.from_iterable(map(get_files, Path("/proc").glob("[0-9]*")))
    return sum(path == site.database for path in descriptors)


def count_sessions(database: dict[str, str]) -> int:
    import psycopg  # type: ignore[import-not-found,unused-ignore]

    with psycopg.connect(
        host=database["HOST"] or None,
        port=database["PORT"] or None,
        user=database["USER"] or None,
        password=database["PASSWORD"] or None,
        dbname=database["NAME"],
        **database["OPTIONS"],  # type: ignore[arg-type]
    ) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert found is not None
    return int(found[0])


def get_files(process: Path) -> Iterator[Path]:
    """Yield the files that a process has open."""
    with suppress(OSError):  # it has ended, or is another user's
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                yield descriptor.readlink()


def test_requests_leave_no_connection_to_the_database(site: Site, api: FakeApi) -> None:
    for _ in range(REQUESTS):
        for page in ["paid", "plain", "plain-async", "stream", "error"]:
            site.get(f"/{page}/?id={name_visit()}")

    api.wait_for(REQUESTS, "purchases", timeout=15)
    api.wait_for(3 * REQUESTS, "pageviews", timeout=15)
    api.wait_for(REQUESTS, "clicks", timeout=15)
    wait_until(lambda: count_connections(site) == 0, "no connection is left")


def test_query_after_the_response_leaves_a_connection(tmp_path: Path) -> None:
    # So that the test above is known to see one.
    with (
        FakeApi(api_key="TSE_servers") as api,
        serve("uvicorn", tmp_path / "log", TOPSORT_API_URL=api.url) as site,
    ):
        assert count_connections(site) == 0

        assert site.get(f"/late-query/?id={name_visit()}").status == 200

        wait_until(lambda: count_connections(site) == 1, "a connection is left")
