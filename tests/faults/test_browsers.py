"""What comes from browsers, and from whoever says that he is one: faults 81 to 87."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from django_topsort.testing import FakeApi
from tests.faults.shop import KEY
from tests.servers.serving import USER_AGENT, Site, serve

pytestmark = pytest.mark.faults

SHOPPER = "shopper-1"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def shared_api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        yield api


@pytest.fixture(scope="module")
def site(shared_api: FakeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A shop under gunicorn, as in production: with logins, and with protection against CSRF."""
    with serve(
        "gunicorn-gthread",
        tmp_path_factory.mktemp("browsers") / "log",
        ROOT_URLCONF="tests.faults.pages",
        INSTALLED_APPS=["django.contrib.sessions", "django_topsort"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=[
            "django_topsort.middleware.TopsortMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        TOPSORT_API_KEY=KEY,
        TOPSORT_API_URL=shared_api.url,
        TOPSORT_FLUSH_INTERVAL=0.05,
        TOPSORT_EVENTS_THROTTLE_RATE="100/minute",
        TOPSORT_CLICK_RATE="20/minute",
    ) as site:
        yield site


@pytest.fixture
def api(shared_api: FakeApi) -> FakeApi:
    shared_api.clear()
    return shared_api


def build_event(product: str = "p-1", **fields: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "occurredAt": datetime.now(UTC).isoformat(),
        "entity": {"type": "product", "id": product},
        "placement": {"path": "/"},
        **fields,
    }


def post(
    site: Site, body: object, shopper: str = SHOPPER, **headers: str
) -> http.client.HTTPResponse:
    """Post a body as the shop's own pages do, but for what a test says."""
    sent = {
        "User-Agent": USER_AGENT,
        "Cookie": f"tsuid={shopper}",
        "Content-Type": "application/json",
        "Sec-Fetch-Site": "same-origin",
    }
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name: value for name, value in sent.items() if value}
    with closing(site.connect()) as connection:
        connection.request("POST", "/topsort/v2/events", content, sent)
        with connection.getresponse() as response:
            response.body = response.read()  # type: ignore[attr-defined]  # for the test to look at
            return response


def get_taken(site: Site, api: FakeApi) -> dict[str, list[Any]]:
    """Return what came, but for a page view by which we know that it is all."""
    last = build_event(page={"type": "other", "pageId": f"last-{uuid4()}"})
    del last["entity"], last["placement"]
    number = len(api.pageviews)
    assert post(site, {"pageviews": [last]}, shopper=f"last-{uuid4()}").status == 204
    api.wait_for(number + 1, "pageviews", timeout=30)
    return {"impressions": api.impressions, "clicks": api.clicks, "purchases": api.purchases}


def test_fault_81_browser_reports_purchases_that_nobody_made(site: Site, api: FakeApi) -> None:
    item = {"productId": "p-1", "unitPrice": 12.5, "quantity": 1}
    purchase = {"id": str(uuid4()), "occurredAt": datetime.now(UTC).isoformat(), "items": [item]}

    answer = post(site, {"purchases": [purchase], "clicks": [build_event()]})

    assert answer.status == 400
    said = json.loads(answer.body)["errors"]  # type: ignore[attr-defined]
    assert [(error["kind"], error["index"]) for error in said] == [("purchases", 0)]
    taken = get_taken(site, api)
    assert (len(taken["clicks"]), taken["purchases"]) == (1, [])


def test_fault_82_browser_reports_for_another_shopper_or_another_time(
    site: Site, api: FakeApi
) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(days=400), now + timedelta(days=1)]
    events = [
        build_event(f"p-{number}", opaqueUserId="another", occurredAt=time.isoformat())
        for number, time in enumerate(times)
    ]

    assert post(site, {"impressions": events}).status == 204

    impressions = get_taken(site, api)["impressions"]
    assert {event["opaqueUserId"] for event in impressions} == {SHOPPER}
    for event in impressions:
        late = datetime.fromisoformat(event["occurredAt"]) - now
        assert timedelta(seconds=-1) < late < timedelta(seconds=60)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"impressions":' * 4_000,
        b'{"impressions":[' + b'{"placement":' * 4_000,
        b'{"impressions":[{"entity":' + b"[" * 50_000 + b"]" * 8_000,
        b'{"clicks":[{"x":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}]}",
    ],
    ids=["arrays", "objects", "placements", "entity", "unknown"],
)
def test_fault_83_body_of_deeply_nested_json(site: Site, api: FakeApi, body: bytes) -> None:
    assert post(site, body).status == 400

    assert get_taken(site, api)["impressions"] == []
    assert site.process.poll() is None


def test_fault_84_body_of_any_size(site: Site, api: FakeApi) -> None:
    events = [build_event(f"p-{number}") for number in range(2_000)]
    large = json.dumps({"impressions": events}).encode()
    assert len(large) > 2 * 64 * 1024

    assert post(site, large).status == 413
    # One that is only announced is refused before it comes.
    with closing(socket.create_connection(("127.0.0.1", site.port), timeout=30)) as connection:
        head = (
            "POST /topsort/v2/events HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
            f"Content-Type: application/json\r\nContent-Length: {4096 * MIB}\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert get_taken(site, api)["impressions"] == []


def test_fault_85_shoppers_who_are_logged_in_need_no_csrf_token(site: Site, api: FakeApi) -> None:
    cookies = f"tsuid={SHOPPER}; sessionid=a-session; csrftoken={'a' * 32}"

    assert post(site, {"clicks": [build_event()]}, Cookie=cookies).status == 204

    assert len(get_taken(site, api)["clicks"]) == 1


def test_fault_86_flood_of_events_from_one_client(site: Site, api: FakeApi) -> None:
    answers = [
        post(site, {"clicks": [build_event(f"p-{number}")]}, shopper="flood")
        for number in range(150)
    ]

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {204, 429}
    assert statuses.count(204) <= 100 * 2  # a minute may end meanwhile
    for answer in answers:
        if answer.status == 429:
            assert 0 < int(answer.getheader("Retry-After") or 0) <= 60
            assert answer.getheader("Content-Type") == "application/json"
    # The vendor pays for as many as a person makes, and another shopper is not concerned.
    assert 20 <= len(get_taken(site, api)["clicks"]) <= 20 * 2
    assert post(site, {"clicks": [build_event()]}, shopper="calm").status == 204
    assert get_taken(site, api)["clicks"][-1]["opaqueUserId"] == "calm"


def test_fault_87_events_from_the_pages_of_another_site(site: Site, api: FakeApi) -> None:
    body = {"clicks": [build_event()]}
    origins = ["https://evil.example", "http://127.0.0.1.evil.example", "null", "file://"]
    refused = [
        *(post(site, body, Sec_Fetch_Site="cross-site", Origin=origin) for origin in origins),
        *(post(site, body, Sec_Fetch_Site="", Origin=origin) for origin in origins),
        post(site, body, Sec_Fetch_Site="cross-site"),
        post(site, body, Sec_Fetch_Site="same-site", Origin="https://users.shop.example"),
        post(site, body, Sec_Fetch_Site="", Origin="null", Content_Type="text/plain"),
    ]

    assert {answer.status for answer in refused} == {403}
    assert get_taken(site, api)["clicks"] == []
    for answer in refused:
        assert "errCode" in json.loads(answer.body)  # type: ignore[attr-defined]
        assert answer.getheader("Access-Control-Allow-Origin") is None


def test_fault_86_memory_does_not_grow_by_hostile_requests(tmp_path: Path) -> None:
    """Each request has another shopper, and other texts in all that may be kept or logged."""
    with (
        FakeApi(api_key=KEY) as api,
        serve(
            "gunicorn-sync",
            tmp_path / "log",
            ROOT_URLCONF="tests.faults.pages",
            TOPSORT_API_KEY=KEY,
            TOPSORT_API_URL=api.url,
            TOPSORT_EVENTS_ADDRESS_THROTTLE_RATE=None,
        ) as site,
    ):
        send_hostile(site, 3_000)
        before = get_peak(site)
        send_hostile(site, 3_000)
        after = get_peak(site)

        assert (
            after - before < 8
        )  # MiB; a kilobyte for each request would be 3, and all its texts 30
        log = site.read_log()
        assert len(log.splitlines()) < 200
        assert "hostile" not in log


def get_peak(site: Site) -> int:
    """Return how many MiB the one worker has had at most."""
    with closing(site.connect()) as connection:
        connection.request("GET", "/accounts/", headers={"User-Agent": USER_AGENT})
        with connection.getresponse() as response:
            peak: int = json.loads(response.read())["peak"]
            return peak


def send_hostile(site: Site, count: int) -> None:
    for _ in range(count):
        text = f"hostile-{uuid4()}-{'x' * 2_000}"
        bodies: list[object] = [
            {"impressions": [build_event(text), build_event(clickType=text, **{text: text})]},
            {"clicks": [build_event(resolvedBidId=text), build_event(entity={"type": text})]},
            {text: text},
            text.encode(),
        ]
        post(site, bodies[hash(text) % len(bodies)], shopper=str(uuid4()), User_Agent=text[:300])
