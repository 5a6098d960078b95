"""The endpoint as browsers, apps and other sites meet it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path, reverse
from rest_framework.authentication import BaseAuthentication, TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.rest_framework.answers import DOC_URL
from django_topsort.rest_framework.views import EventsView
from django_topsort.testing import rules
from tests.browser.sending import (
    FIREFOX,
    URL,
    build_impression,
    build_purchase,
    build_sponsored,
    encode,
)

ALL_KINDS = ["impressions", "clicks", "purchases", "pageviews"]
BROWSER = {"user-agent": FIREFOX, "sec-fetch-site": "same-origin"}
BODY = encode(impressions=[build_impression()])
# What a project may have set for its own APIs.
STRANGE = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_METADATA_CLASS": "rest_framework.metadata.SimpleMetadata",
    "EXCEPTION_HANDLER": "tests.there.is_none",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": "format",
}


def name_user(request: HttpRequest) -> str | None:
    user: Any = getattr(request, "user", None)
    is_known = user is not None and user.is_authenticated
    return f"user-{user.pk}" if is_known else None


def raise_in_hook(request: HttpRequest) -> str:
    raise LookupError("no such customer: mail@shop.example")


def raise_django(request: HttpRequest) -> bool:
    raise PermissionDenied if "denied" in request.GET else Http404


class ByName(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        name = request.META.get("HTTP_X_NAME")
        if name == "wrong":
            raise AuthenticationFailed("no such name")
        return (get_user_model()(pk=int(name)), None) if name else None


class NamedEventsView(EventsView):
    authentication_classes = (ByName,)


class TokenEventsView(EventsView):
    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)


urlpatterns = [
    path("topsort/", include("django_topsort.urls")),
    path("named", NamedEventsView.as_view()),
    path("token", TokenEventsView.as_view()),
]


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True, headers=BROWSER)


def post(client: Client, body: bytes = BODY, url: str = URL, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content_type = named.pop("content-type", "application/json")
    answer: Any = client.post(url, body, content_type=content_type, headers=named)
    response: HttpResponse = answer
    return response


def check_error(response: HttpResponse, status: int, err_code: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(response.content)
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store, private"
    assert content["errCode"] == err_code
    assert content["docUrl"] == DOC_URL == rules.DOC_URL
    assert content["message"]
    return content


def test_events_are_taken_and_the_shopper_is_kept(client: Client) -> None:
    assert reverse("django_topsort:events") == URL
    response = post(client)

    assert response.status_code == 204
    assert response.content == b""
    assert "Content-Type" not in response
    assert response["Cache-Control"] == "no-store, private"
    assert outbox[0].opaque_user_id == client.cookies["tsuid"].value
    post(client)
    assert len({event.opaque_user_id for event in outbox}) == 1


@pytest.mark.parametrize(
    ("content_type", "is_taken"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Text/Plain;charset=UTF-8", True),
        ("text/plain; charset=latin-1", True),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_content_types_that_are_taken(client: Client, content_type: str, is_taken: bool) -> None:
    response = post(client, content_type=content_type)

    assert len(outbox) == is_taken
    if not is_taken:
        check_error(response, 415, "bad_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE"])
def test_other_methods_are_not_allowed(client: Client, method: str) -> None:
    response: Any = client.generic(method, URL, BODY)

    assert response.status_code == 405
    assert response["Allow"] == "POST, HEAD, OPTIONS"
    check_error(response, 405, "bad_request")
    assert outbox == []


def test_head_is_answered_and_nothing_recorded(client: Client) -> None:
    before = accounts.get_counts()
    response: Any = client.generic("HEAD", URL, BODY, "application/json", headers=BROWSER)

    assert (response.status_code, response.content) == (204, b"")
    assert not client.cookies
    assert outbox == []
    assert accounts.get_counts() == before


def test_refused_events_are_named_and_the_others_taken(client: Client) -> None:
    wrong = build_sponsored("ts1.forged")
    response = post(client, encode(impressions=[build_impression(), wrong]))

    content = check_error(response, 400, "resolved_bid_id_not_found")
    assert content["errors"] == [
        {
            "kind": "impressions",
            "index": 1,
            "id": wrong["id"],
            "errCode": "resolved_bid_id_not_found",
            "message": "resolvedBidId: this shop has not signed it",
        }
    ]
    assert len(outbox) == 1


@pytest.mark.parametrize("body", [b" ", b"{", b"[]", b"{}", b'{"a": 1}'])
def test_body_without_events_is_refused(client: Client, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert "errors" not in json.loads(response.content)


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({"sec_fetch_site": "", "origin": "http://testserver"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "https://evil.example"}, False),
        ({"sec_fetch_site": "", "origin": "null"}, False),
    ],
)
def test_page_of_another_site_is_refused(
    client: Client, headers: dict[str, str], is_taken: bool
) -> None:
    response = post(client, BODY, URL, **headers)

    assert len(outbox) == is_taken
    if not is_taken:
        check_error(response, 403, "bad_request")
        assert "tsuid" not in client.cookies


@override_settings(TOPSORT_ALLOWED_ORIGINS=["https://m.shop.example"])
def test_page_of_an_allowed_origin_may_ask_post_and_read(client: Client) -> None:
    foreign = {"sec-fetch-site": "same-site", "origin": "https://m.shop.example"}
    asked: Any = client.options(URL, headers=foreign)
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked["Access-Control-Allow-Methods"] == "POST"
    assert "Content-Type" in asked["Access-Control-Allow-Headers"]

    posted = post(client, sec_fetch_site="same-site", origin="https://m.shop.example")
    assert posted.status_code == 204
    assert posted["Access-Control-Allow-Origin"] == "https://m.shop.example"
    assert "Origin" in posted["Vary"]

    evil: Any = client.options(URL, headers={**foreign, "origin": "https://evil.example"})
    check_error(evil, 403, "bad_request")
    assert "Access-Control-Allow-Origin" not in evil


def test_host_that_is_not_ours_is_a_bad_request() -> None:
    # Without the middleware that would say so first.
    request = RequestFactory().post(
        URL,
        BODY,
        "application/json",
        headers={"host": "evil.example", "origin": "http://e.example"},
    )
    response: Any = EventsView.as_view()(request)

    check_error(response, 400, "bad_request")


@override_settings(REST_FRAMEWORK=STRANGE)
def test_settings_for_the_projects_own_apis_play_no_part(client: Client) -> None:
    for accept in ("text/html", "application/xml", "application/json; version=9", ""):
        assert post(client, accept=accept, url=f"{URL}?format=xml").status_code == 204
        check_error(post(client, b"{", accept=accept), 400, "invalid_json")


@pytest.mark.django_db
@override_settings(TOPSORT_USER_ID="tests.rest_framework.test_views.name_user")
def test_customer_who_is_logged_in_is_known(client: Client) -> None:
    user = get_user_model().objects.create_user("ada", password="x")
    client.force_login(user)

    assert post(client).status_code == 204
    assert outbox[0].opaque_user_id == f"user-{user.pk}"


@override_settings(
    ROOT_URLCONF="tests.rest_framework.test_views",
    TOPSORT_USER_ID="tests.rest_framework.test_views.name_user",
)
def test_customer_who_brings_a_token_is_known(client: Client) -> None:
    assert post(client, url="/named", x_name="7").status_code == 204
    assert outbox[0].opaque_user_id == "user-7"
    assert post(client, url="/named").status_code == 204
    assert outbox[1].opaque_user_id == client.cookies["tsuid"].value
    # No scheme is there to be named, and DRF says 403 then.
    check_error(post(client, url="/named", x_name="wrong"), 403, "bad_request")

    response = post(client, url="/token")
    check_error(response, 401, "bad_request")
    assert response["WWW-Authenticate"] == "Token"


@override_settings(TOPSORT_USER_ID=raise_in_hook)
def test_hook_that_raises_is_an_error_in_json_and_said(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    check_error(post(client), 500, "internal_server_error")

    (line,) = [one for one in caplog.records if one.name.startswith("django_topsort")]
    assert line.levelname == "ERROR"
    assert line.getMessage() == "browser's events not taken error=LookupError"
    assert outbox == []


@pytest.mark.parametrize("name", ["TOPSORT_CONSENT", "TOPSORT_IGNORE_REQUEST"])
def test_async_hook_is_an_error_and_no_answer(
    client: Client, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async def hook(request: HttpRequest) -> None:
        """Is never waited for."""

    with override_settings(**{name: hook}):
        check_error(post(client), 500, "internal_server_error")
    assert f"{name}: an async function cannot be waited for" in caplog.text


@override_settings(TOPSORT_IGNORE_REQUEST=raise_django)
def test_what_django_raises_is_answered_in_json(client: Client) -> None:
    check_error(post(client), 404, "bad_request")
    check_error(post(client, url=f"{URL}?denied"), 403, "bad_request")


@override_settings(TOPSORT_STRICT=True, DEBUG=True)
def test_strictness_is_not_for_what_others_send(client: Client) -> None:
    assert post(client, encode(impressions=[3, build_impression()])).status_code == 400
    assert len(outbox) == 1


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_nothing_is_kept_without_consent(client: Client) -> None:
    assert post(client).status_code == 204
    assert outbox == []
    assert not client.cookies


@override_settings(APPEND_SLASH=True)
def test_nothing_redirects(client: Client) -> None:
    assert post(client).status_code == 204
    content = check_error(post(client, url=f"{URL}/"), 404, "bad_request")
    assert "without the slash" in content["message"]
    assert len(outbox) == 1
    assert reverse("django_topsort:events") == URL


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("hook", "status", "rows"), [(None, 204, 1), (raise_in_hook, 500, 0)])
def test_purchase_belongs_to_the_transaction_of_the_request(
    client: Client, monkeypatch: pytest.MonkeyPatch, hook: Any, status: int, rows: int
) -> None:
    from django_topsort.outbox.models import OutboxEvent

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    body = encode(purchases=[build_purchase({"productId": "a", "unitPrice": 1})])
    with override_settings(
        TOPSORT_BROWSER_EVENTS=ALL_KINDS,
        TOPSORT_BACKENDS={"default": "django_topsort.outbox.backend.EventBackend"},
        TOPSORT_USER_ID=hook,
    ):
        assert post(client, body).status_code == status

    assert OutboxEvent.objects.count() == rows


async def test_events_are_taken_under_asgi() -> None:
    client = AsyncClient(enforce_csrf_checks=True, headers=BROWSER)
    response = await client.post(URL, BODY, content_type="text/plain")

    assert response.status_code == 204
    assert len(outbox) == 1
    response = await client.post(URL, b"{", content_type="text/plain")
    assert response.status_code == 400


async def test_chunked_body_is_taken_under_asgi() -> None:
    client = AsyncClient(headers={**BROWSER, "transfer-encoding": "chunked", "content-length": ""})
    response = await client.post(URL, BODY, content_type="text/plain")

    assert response.status_code == 204
    assert len(outbox) == 1


def test_events_are_taken_without_the_middleware() -> None:
    request = RequestFactory().post(URL, BODY, "application/json", headers=BROWSER)
    response: Any = EventsView.as_view()(request)

    assert response.status_code == 204
    assert len(outbox) == 1


def test_refusals_are_not_logged_one_by_one_by_django(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = {post(client, b"no JSON").status_code for _ in range(5)}
    statuses.add(client.get(URL).status_code)

    assert statuses == {400, 405}
    assert [one for one in caplog.records if one.name == "django.request"] == []
