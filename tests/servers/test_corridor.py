"""Neither a page nor the end of a server waits for Topsort, and what waits is sent at that end."""

from __future__ import annotations

import signal
import statistics
from contextlib import closing
from pathlib import Path

import pytest

from django_topsort.testing import FakeApi
from tests.servers.serving import Site, get_kinds, name_visit, serve

pytestmark = pytest.mark.servers

VISITS = 12
SLOW = 2.0


def get_visits(api: FakeApi) -> list[str]:
    return sorted(event["page"]["pageId"] for event in api.pageviews)


@pytest.mark.parametrize("fault", ["slow", "hanging"])
@pytest.mark.parametrize("page", ["plain", "stream"])
def test_page_takes_as_long_as_without_us_whatever_the_api_does(
    site: Site, api: FakeApi, page: str, fault: str
) -> None:
    with closing(site.connect()) as keeping:
        alone = [site.measure("/silent/", keeping) for _ in range(VISITS)]
    active = api.delay(SLOW) if fault == "slow" else api.hang()
    visits = [name_visit() for _ in range(VISITS)]

    # The same worker serves each next request, on the same connection and then on new ones.
    with closing(site.connect()) as keeping:
        kept = [site.measure(f"/{page}/?id={visit}", keeping) for visit in visits[::2]]
    fresh = [site.measure(f"/{page}/?id={visit}") for visit in visits[1::2]]

    active.wait_for_hit()
    assert max(kept + fresh) < SLOW / 2
    assert statistics.median(kept + fresh) - statistics.median(alone) < 0.1
    active.release()
    api.wait_for(VISITS, "pageviews", timeout=30)
    api.wait_for(3 * VISITS, "impressions", timeout=30)
    assert get_visits(api) == sorted(visits)
    assert api.altered == []


@pytest.mark.parametrize("kind", get_kinds())
def test_server_that_is_asked_to_end_sends_what_waits(kind: str, tmp_path: Path) -> None:
    """Where nothing tells us of the end, nothing is sent: docs/servers.md says where that is."""
    visits = [name_visit() for _ in range(VISITS)]
    with FakeApi(api_key="TSE_servers") as api:
        api.delay(0.2)
        # Nothing is sent before the interval is over, so all of it waits when the signal comes.
        with serve(
            kind, tmp_path / "log", TOPSORT_API_URL=api.url, TOPSORT_FLUSH_INTERVAL=60
        ) as site:
            for visit in visits:
                site.get(f"/plain/?id={visit}")
                site.get(f"/order/?id={visit}")
            assert api.requests == []
            code, took = site.stop()

        assert code == site.server.ends_with
        assert took < 10
        arrived = sorted(visits) if site.server.sends_at_exit else []
        assert get_visits(api) == arrived
        assert sorted(event["id"] for event in api.purchases) == arrived


@pytest.mark.parametrize("kind", get_kinds(lambda server: not server.sends_at_exit))
def test_server_that_skips_exit_hooks_loses_no_more_than_the_last_interval(
    kind: str, tmp_path: Path
) -> None:
    visits = [name_visit() for _ in range(VISITS)]
    with FakeApi(api_key="TSE_servers") as api:
        with serve(kind, tmp_path / "log", TOPSORT_API_URL=api.url) as site:
            for visit in visits:
                site.get(f"/order/?id={visit}")
            api.wait_for(VISITS, "purchases")  # which needs no exit
            site.stop()

        assert sorted(event["id"] for event in api.purchases) == sorted(visits)


@pytest.mark.parametrize("kind", ["waitress", "runserver"])
def test_server_in_a_terminal_sends_what_waits_when_it_is_interrupted(
    kind: str, tmp_path: Path
) -> None:
    visit = name_visit()
    with FakeApi(api_key="TSE_servers") as api:
        with serve(
            kind, tmp_path / "log", TOPSORT_API_URL=api.url, TOPSORT_FLUSH_INTERVAL=60
        ) as site:
            site.get(f"/order/?id={visit}")
            site.stop(stop_signal=signal.SIGINT)

        assert [event["id"] for event in api.purchases] == [visit]


@pytest.mark.parametrize("kind", get_kinds())
def test_server_that_is_asked_to_end_does_not_wait_for_a_hanging_api(
    kind: str, tmp_path: Path
) -> None:
    with FakeApi(api_key="TSE_servers") as api:
        fault = api.hang()
        with serve(
            kind, tmp_path / "log", TOPSORT_API_URL=api.url, TOPSORT_SHUTDOWN_TIMEOUT=1
        ) as site:
            site.get(f"/plain/?id={name_visit()}")
            fault.wait_for_hit()
            _, took = site.stop()

        assert took < 5
