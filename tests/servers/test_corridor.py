"""Pages under real servers: what they report, and that they never wait for it."""

from __future__ import annotations

import http.client
import itertools
import socket
import statistics
import time
from contextlib import closing
from pathlib import Path

import pytest

from django_topsort.testing import FakeApi
from tests.servers.serving import COMMANDS, USER_AGENT, Site, serve

pytestmark = pytest.mark.servers

VISITS = 12
SLOW = 2.0
_numbers = itertools.count(1)


def name_visit() -> str:
    """Return an id that no other test of this run has used."""
    return f"visit-{next(_numbers)}"


def get_visits(api: FakeApi) -> list[str]:
    return sorted(event["page"]["pageId"] for event in api.pageviews)


@pytest.mark.parametrize(
    "page", ["plain", "plain-async", "template", "file", "stream", "stream-async"]
)
def test_page_reports_its_view_and_impressions(site: Site, api: FakeApi, page: str) -> None:
    visit = name_visit()

    response = site.get(f"/{page}/?id={visit}")

    assert response.status == 200
    api.wait_for(3, "impressions")
    api.wait_for(1, "pageviews")
    assert get_visits(api) == [visit]
    assert [event["placement"]["position"] for event in api.impressions] == [1, 2, 3]
    assert {event["opaqueUserId"] for event in api.events} == {api.events[0]["opaqueUserId"]}


@pytest.mark.parametrize("page", ["plain", "plain-async", "template", "file"])
def test_page_sets_the_cookie_under_which_it_reported(site: Site, api: FakeApi, page: str) -> None:
    response = site.get(f"/{page}/?id={name_visit()}")

    (event,) = api.wait_for(1, "pageviews")
    assert f"tsuid={event['opaqueUserId']};" in str(response.getheader("Set-Cookie"))


def test_page_that_is_replaced_by_a_304_was_seen(site: Site, api: FakeApi) -> None:
    visit = name_visit()

    response = site.get(f"/replaced/?id={visit}", headers={"If-None-Match": '"same"'})

    assert response.status == 304
    api.wait_for(4)
    assert get_visits(api) == [visit]


def test_page_that_fails_reports_the_click_but_no_view(site: Site, api: FakeApi) -> None:
    failed, after = name_visit(), name_visit()

    assert site.get(f"/error/?id={failed}").status == 500
    assert site.get(f"/plain/?id={after}").status == 200

    (click,) = api.wait_for(1, "clicks")
    assert click["entity"]["id"] == f"clicked-{failed}"
    api.wait_for(1, "pageviews")
    assert get_visits(api) == [after]


def test_stream_that_fails_midway_reports_what_was_seen(site: Site, api: FakeApi) -> None:
    visit = name_visit()

    # The headers went out with a 200, so there is nothing left to do but to hang up.
    with pytest.raises(http.client.IncompleteRead):
        site.get(f"/broken-stream/?id={visit}")

    api.wait_for(4)
    assert get_visits(api) == [visit]


def test_view_whose_client_has_left_reports_what_it_goes_on_to_do(
    site: Site, api: FakeApi, tmp_path: Path
) -> None:
    visit = name_visit()
    with socket.create_connection(("127.0.0.1", site.port)) as client:
        request = f"GET /left/?id={visit}&flags={tmp_path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        client.sendall(f"{request}User-Agent: {USER_AGENT}\r\n\r\n".encode())
        wait_for_file(tmp_path / "entered")
    if site.is_asgi:
        wait_for_file(site.left)  # WSGI servers do not look before they write

    (tmp_path / "go on").touch()

    api.wait_for(4)
    assert get_visits(api) == [visit]


def wait_for_file(path: Path, timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not come"
        time.sleep(0.01)


@pytest.mark.parametrize("fault", ["slow", "hanging"])
@pytest.mark.parametrize("page", ["plain", "template", "stream"])
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


@pytest.mark.parametrize("kind", COMMANDS)
def test_server_that_is_asked_to_end_sends_what_waits(kind: str, tmp_path: Path) -> None:
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

        assert code == site.ends_with
        assert took < 10
        assert get_visits(api) == sorted(visits)
        assert sorted(event["id"] for event in api.purchases) == sorted(visits)


@pytest.mark.parametrize("kind", COMMANDS)
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
