"""The signed click redirect, as a browser meets it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

from django_topsort.backends.locmem import outbox
from django_topsort.clicks import SALT
from django_topsort.links import build_click_url

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
NO_CACHE = {"default": {"BACKEND": "tests.test_views.BrokenCache"}}
APPS_UNSEEN = deepcopy(settings.TEMPLATES)
APPS_UNSEEN[0]["APP_DIRS"] = False


class BrokenCache:
    """A cache whose server is down."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        pass

    def add(self, key: str, value: object, timeout: float) -> bool:
        raise ConnectionError

    def clear(self) -> None:
        """What the end of a test calls."""

    def close(self) -> None:
        """What the end of a request calls."""


def show_links(request: HttpRequest) -> HttpResponse:
    return HttpResponse(build_click_url(request, "/shoe/1/", "shoe-1", position=1))


urlpatterns = [path("shoes/", show_links), path("topsort/", include("django_topsort.urls"))]

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def client() -> Client:
    return Client(headers=BROWSER)


@pytest.fixture
def link(client: Client) -> str:
    return client.get("/shoes/").content.decode()


def test_click_redirects_and_is_reported(client: Client, link: str) -> None:
    response = client.get(link)

    assert response.status_code == 302
    assert response["Location"] == "/shoe/1/"
    assert response["Cache-Control"] == "no-store, private"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert response["Referrer-Policy"] == "same-origin"
    (event,) = outbox
    assert event.kind == "clicks"


async def test_click_redirects_under_asgi(link: str) -> None:
    response = await AsyncClient(headers=BROWSER).get(link)

    assert response.status_code == 302
    assert [event.kind for event in outbox] == ["clicks"]


def test_click_of_a_new_shopper_sets_the_cookie(client: Client, link: str) -> None:
    assert "tsuid" not in client.cookies  # the page with the link needs no id

    client.get(link)

    (event,) = outbox
    assert client.cookies["tsuid"].value == event.opaque_user_id


def test_click_counts_once_for_a_shopper(client: Client, link: str) -> None:
    statuses = [client.get(link).status_code for _ in range(3)]

    assert statuses == [302] * 3
    assert len(outbox) == 1


def test_click_counts_for_each_shopper(link: str) -> None:
    for name in ("shopper-1", "shopper-2"):
        visitor = Client(headers=BROWSER)
        visitor.cookies["tsuid"] = name
        visitor.get(link)

    assert len({event.id for event in outbox}) == 2
    assert {event.opaque_user_id for event in outbox} == {"shopper-1", "shopper-2"}


def test_click_of_a_client_that_keeps_no_cookie_counts_once(link: str) -> None:
    for _ in range(3):
        Client(headers=BROWSER).get(link)
    assert len(outbox) == 1

    Client(headers=BROWSER, REMOTE_ADDR="192.0.2.7").get(link)
    Client(headers={"user-agent": "Mozilla/5.0 Firefox/\ud800"}).get(link)

    assert len({event.id for event in outbox}) == 3


def test_click_counts_again_after_the_window(
    client: Client, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    fresh = client.get("/shoes/").content.decode()
    client.get(fresh)
    now += 29 * 60
    client.get(fresh)
    assert len(outbox) == 1

    now += 2 * 60
    client.get(fresh)

    assert len({event.id for event in outbox}) == 2


@override_settings(CACHES=NO_CACHE)
def test_click_without_a_cache_has_one_id_in_a_window(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0  # the beginning of a window
    monkeypatch.setattr("time.time", lambda: now)
    link = client.get("/shoes/").content.decode()

    for _ in range(2):
        assert client.get(link).status_code == 302
        now += 60

    assert len(outbox) == 2
    assert len({event.id for event in outbox}) == 1  # Topsort counts it once
    now += 30 * 60
    client.get(link)
    assert len({event.id for event in outbox}) == 2


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"sec-purpose": "prefetch"}),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}),
    ],
)
def test_click_that_nobody_made_redirects_and_counts_for_nothing(
    client: Client, link: str, method: str, headers: dict[str, str]
) -> None:
    response = client.generic(method, link, headers=headers)

    assert response.status_code == 302
    assert response["Location"] == "/shoe/1/"
    assert outbox == []
    assert client.cookies == {}


@override_settings(TOPSORT_CONSENT=lambda request: "refused" not in request.COOKIES)
def test_click_after_consent_was_withdrawn_redirects_only(client: Client, link: str) -> None:
    client.cookies["refused"] = "1"

    response = client.get(link)

    assert response.status_code == 302
    assert outbox == []
    assert "tsuid" not in client.cookies


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_click_is_made_by_get_alone(client: Client, link: str, method: str) -> None:
    response = client.generic(method, link)

    assert response.status_code == 405
    assert outbox == []


def test_forged_token_leads_nowhere(client: Client, link: str) -> None:
    content, _, signature = link.rpartition(":")
    foreign = signing.dumps(["/shoe/1/", {}, "nonce"], key="of another site", salt=SALT)
    salted = signing.dumps(["/shoe/1/", {}, "nonce"], salt="of another use")
    other = signing.dumps({"not": "ours"}, salt=SALT)
    tokens = [
        f"{link}x",
        link[:-3],
        f"{content}:{signature[::-1]}",
        link.replace("click/", "click/x"),
        *(f"/topsort/click/{token}" for token in (foreign, salted, other, "x", "x" * 9000)),
    ]

    for url in tokens:
        response = client.get(url + "?next=https://evil.example/")

        assert response.status_code == 404
        assert "Location" not in response
        assert response["Cache-Control"] == "no-store, private"
        assert "<h1>This link does not work</h1>" in response.content.decode()
    assert outbox == []


def test_flood_of_forged_tokens_is_logged_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "django_topsort")
    for number in range(50):
        assert client.get(f"/topsort/click/forged-{number}").status_code == 404

    lines = [line.getMessage() for line in caplog.records if "django_topsort" in line.name]
    assert lines == ["click refused reason=tampered"]


def test_expired_token_leads_nowhere(client: Client, link: str) -> None:
    with override_settings(TOPSORT_CLICK_MAX_AGE=-1):
        response = client.get(link)

    assert response.status_code == 410
    assert "Location" not in response
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert "<h1>This link has expired</h1>" in response.content.decode()
    assert outbox == []


def test_token_outlives_a_change_of_the_secret_key(client: Client, link: str) -> None:
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert client.get(link).status_code == 302
    with override_settings(SECRET_KEY="new"):
        assert client.get(link).status_code == 404


@pytest.mark.parametrize("templates", [[], APPS_UNSEEN])
def test_refusal_is_plain_text_where_no_engine_has_the_page(
    client: Client, templates: list[dict[str, Any]]
) -> None:
    with override_settings(TEMPLATES=templates):
        response = client.get("/topsort/click/forged")

    assert response.status_code == 404
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.startswith(b"This link does not work any more.")
