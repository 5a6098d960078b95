"""However a request ends, exactly what its page recorded arrives, once, on every server."""

from __future__ import annotations

import http.client
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.servers.serving import PATIENCE, Site, abort, name_visit, wait_until

pytestmark = pytest.mark.servers

SEEN = {"pageviews": 1, "impressions": 3}
PAGES = [
    "plain",
    "plain-async",
    "template",
    "file",
    "file-in-memory",
    "stream",
    "stream-async",
    "long",
]
BROKEN_STREAMS = ["broken-stream", "broken-stream-async"]


def count_recorded(site: Site) -> Counter[str]:
    return Counter(kind for word, kind, _ in site.read_ledger() if word == "recorded")


def assert_same_at_both_ends(
    site: Site, api: FakeApi, visit: str, recorded: dict[str, int], lost: dict[str, int]
) -> None:
    """Compare what the site says that it recorded with what has come, id by id.

    ``lost``: what it gave up for a reason.
    """
    wait_until(lambda: sum(count_recorded(site).values()) >= sum(recorded.values()), "recorded")
    ledger = site.read_ledger()
    given_up = {event_id for word, _, event_id in ledger if word != "recorded"}
    expected = {event_id for _, _, event_id in ledger} - given_up
    if expected:
        api.wait_for(len(expected), timeout=PATIENCE)
    ledger = site.read_ledger()
    assert count_recorded(site) == recorded
    assert Counter(kind for word, kind, _ in ledger if word != "recorded") == lost
    assert sorted(event["id"] for event in api.events) == sorted(expected)
    assert {event["page"]["pageId"] for event in api.pageviews} <= {visit}
    assert api.repeated == []


@pytest.mark.parametrize("page", PAGES)
def test_page_reports_its_view_and_impressions(site: Site, api: FakeApi, page: str) -> None:
    visit = name_visit()

    response = site.get(f"/{page}/?id={visit}")

    assert response.status == 200
    assert_same_at_both_ends(site, api, visit, SEEN, {})
    assert [event["placement"]["position"] for event in api.impressions] == [1, 2, 3]
    assert len({event["opaqueUserId"] for event in api.events}) == 1


@pytest.mark.parametrize("page", ["plain", "plain-async", "template", "file"])
def test_page_sets_the_cookie_under_which_it_reported(site: Site, api: FakeApi, page: str) -> None:
    visit = name_visit()

    response = site.get(f"/{page}/?id={visit}")

    assert response.status == 200
    assert_same_at_both_ends(site, api, visit, SEEN, {})
    cookie = f"tsuid={api.events[0]['opaqueUserId']};"
    assert cookie in str(response.getheader("Set-Cookie"))


def test_page_that_is_replaced_by_a_304_was_seen(site: Site, api: FakeApi) -> None:
    visit = name_visit()

    response = site.get(f"/replaced/?id={visit}", headers={"If-None-Match": '"same"'})

    # Hypercorn makes a 500 of any WSGI response without a body.
    assert response.status == 304 or site.kind == "hypercorn-wsgi"
    assert_same_at_both_ends(site, api, visit, SEEN, {})


def test_page_that_is_not_found_reports_what_it_showed_instead(site: Site, api: FakeApi) -> None:
    visit = name_visit()

    assert site.get(f"/missing/?id={visit}").status == 404

    assert_same_at_both_ends(site, api, visit, SEEN, {})


def test_page_that_fails_reports_the_click_but_no_view(site: Site, api: FakeApi) -> None:
    visit = name_visit()

    assert site.get(f"/error/?id={visit}").status == 500

    assert_same_at_both_ends(site, api, visit, {**SEEN, "clicks": 1}, SEEN)
    assert api.clicks[0]["entity"]["id"] == f"clicked-{visit}"


def test_order_is_reported_when_it_is_committed(site: Site, api: FakeApi) -> None:
    visit = name_visit()

    assert site.get(f"/paid/?id={visit}").status == 200

    assert_same_at_both_ends(site, api, visit, {"purchases": 1}, {})


def test_head_reports_nothing_and_breaks_nothing(site: Site, api: FakeApi) -> None:
    for page in ["plain", "template", "file", "stream"]:
        assert site.request("HEAD", f"/{page}/?id={name_visit()}").status == 200
    assert site.read_ledger() == []
    visit = name_visit()

    assert site.get(f"/plain/?id={visit}").status == 200

    assert_same_at_both_ends(site, api, visit, SEEN, {})


@pytest.mark.parametrize("page", BROKEN_STREAMS)
def test_stream_that_fails_midway_reports_what_was_seen(
    site: Site, api: FakeApi, page: str
) -> None:
    visit = name_visit()

    # The headers may be out by then. Some servers end the body in the middle, others reset.
    with suppress(http.client.HTTPException, OSError):
        site.get(f"/{page}/?id={visit}")

    assert_same_at_both_ends(site, api, visit, SEEN, {})


@pytest.mark.parametrize("page", ["left", "left-async"])
def test_view_whose_client_has_left_reports_what_it_goes_on_to_do(
    site: Site, api: FakeApi, tmp_path: Path, page: str
) -> None:
    visit = name_visit()
    with site.open(f"/{page}/?id={visit}&flags={tmp_path}"):
        wait_until((tmp_path / "entered").exists, "entered")
    if site.server.is_asgi:
        wait_until(site.left.exists, "the server has seen it")  # under WSGI none looks

    (tmp_path / "go on").touch()

    wait_until((tmp_path / "ended").exists, "ended")
    # Under ASGI, Django cancels an async view whose client has left.
    goes_on = page == "left" or not site.server.is_asgi
    recorded = {**SEEN, "clicks": 1} if goes_on else SEEN
    assert_same_at_both_ends(site, api, visit, recorded, {})


@pytest.mark.parametrize("page", ["long", "long-stream", "long-stream-async"])
def test_response_whose_client_leaves_midway_reports_what_was_seen(
    site: Site, api: FakeApi, page: str
) -> None:
    visit = name_visit()
    with site.open(f"/{page}/?id={visit}") as client:
        received = b"headers"
        while not received.endswith(b"xxx"):  # until the body has begun
            received = client.recv(1000)
            assert received
        abort(client)

    # A stream records a click when it is closed, and it is closed on every server.
    recorded: dict[str, Any] = SEEN if page == "long" else {**SEEN, "clicks": 1}

    def is_recorded() -> bool:
        # gunicorn's ASGI worker closes an async stream that it has given up with a later request.
        site.get("/silent/")
        return bool(count_recorded(site).total() >= sum(recorded.values()))

    wait_until(is_recorded, "what was seen is recorded")
    assert_same_at_both_ends(site, api, visit, recorded, {})
