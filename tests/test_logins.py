"""Guests who log in: told to Topsort once, in the background, and only where the shop wants it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import alogin, login
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.delivery import flush
from django_topsort.shoppers import sign_shopper
from django_topsort.status import describe_status, format_prometheus, get_status
from django_topsort.testing import FakeApi, ReceivedRequest, capture_events
from django_topsort.testing.fresh import use_fresh_backend
from django_topsort.tracking import track_pageview
from tests.purchases.test_buyers import BROKEN_CACHE
from tests.sending.engine import PATIENCE

GUEST = "0190d8f2-0000-7000-8000-000000000000"
THREAD = "django_topsort.backends.thread.EventBackend"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_backends"),
]


def log_in(request: HttpRequest) -> HttpResponse:
    track_pageview(request)
    login(request, User.objects.get(username=request.GET["name"]))
    return HttpResponse("welcome")


async def log_in_async(request: HttpRequest) -> HttpResponse:
    await alogin(request, await User.objects.aget(username=request.GET["name"]))
    return HttpResponse("welcome")


urlpatterns = [path("login/", log_in), path("login-async/", log_in_async)]


def get_customer_id(request: Any) -> str | None:
    return f"customer-{request.user.username}" if request.user.is_authenticated else None


def is_link(request: ReceivedRequest) -> bool:
    return request.path == "/v2/events/beta/link-users"


@pytest.fixture(autouse=True)
def api(settings: Any) -> Iterator[FakeApi]:
    settings.TOPSORT_BACKENDS = {"default": THREAD}
    settings.TOPSORT_LINK_USERS = True
    settings.TOPSORT_USER_ID = get_customer_id
    for name in ("anna", "ben"):
        User.objects.create_user(name)
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        yield api


@pytest.fixture(autouse=True)
def counts() -> dict[str, Any]:
    """What was counted before the test."""
    return accounts.get_link_counts()


def get_ends(counts: dict[str, Any]) -> dict[str, int]:
    """Return what has been counted since, with the reasons of what was dropped."""
    now = accounts.get_link_counts()
    ends = {name: now[name] - counts[name] for name in ("recorded", "delivered", "rejected")}
    dropped = {why: count - counts["reasons"].get(why, 0) for why, count in now["reasons"].items()}
    return {name: count for name, count in {**ends, **dropped}.items() if count}


def enter(name: str = "anna", cookie: str | None = GUEST) -> Client:
    client = Client(headers=BROWSER)
    if cookie is not None:
        client.cookies["tsuid"] = cookie
    assert client.get(f"/login/?name={name}").content == b"welcome"
    return client


def test_guest_who_logs_in_is_linked_once(api: FakeApi, counts: dict[str, Any]) -> None:
    enter()
    client = enter()
    client.logout()
    client.get("/login/?name=anna")
    assert flush(PATIENCE)

    assert api.links == [{"from": GUEST, "to": "customer-anna"}]
    assert get_ends(counts) == {"recorded": 1, "delivered": 1}


def test_guest_without_cookies_is_linked_by_the_header(api: FakeApi, settings: Any) -> None:
    settings.TOPSORT_USER_HEADER = True
    headers = {**BROWSER, "x-topsort-user": sign_shopper(GUEST)}

    Client(headers=headers).get("/login/?name=anna")
    assert flush(PATIENCE)

    assert api.links == [{"from": GUEST, "to": "customer-anna"}]


def test_two_customers_of_one_browser_are_two_links(api: FakeApi) -> None:
    enter("anna")
    enter("ben")
    assert flush(PATIENCE)

    assert [link["to"] for link in api.links] == ["customer-anna", "customer-ben"]


@pytest.mark.parametrize(
    ("wanted", "cookie"),
    [
        ({"TOPSORT_LINK_USERS": False}, GUEST),
        ({"TOPSORT_LINK_USERS": "yes"}, GUEST),
        ({"TOPSORT_USER_ID": None}, GUEST),
        ({"TOPSORT_USER_ID": lambda request: None}, GUEST),
        ({"TOPSORT_USER_ID": lambda request: GUEST}, GUEST),
        ({"TOPSORT_CONSENT": lambda request: False}, GUEST),
        ({}, None),
        ({}, "no id\t"),
        ({}, "customer-ben"),  # anybody can write somebody else's id into a cookie
    ],
)
def test_nothing_is_reported_where_there_is_nothing_to_link(
    api: FakeApi, settings: Any, counts: dict[str, Any], wanted: dict[str, Any], cookie: str | None
) -> None:
    for name, value in wanted.items():
        setattr(settings, name, value)

    enter(cookie=cookie)
    assert flush(PATIENCE)

    assert not any(map(is_link, api.requests))
    assert get_ends(counts) == {}


def test_staff_who_log_in_where_a_shopper_was_are_not_the_shopper(api: FakeApi) -> None:
    User.objects.create_user("clerk", is_staff=True)

    enter("clerk")
    assert flush(PATIENCE)

    assert api.links == []


def test_login_without_a_request_is_none_of_a_guest(api: FakeApi) -> None:
    user_logged_in.send(sender=User, request=None, user=User.objects.get(username="anna"))
    assert flush(PATIENCE)

    assert api.requests == []


async def test_guest_who_logs_in_by_an_async_view_is_linked(api: FakeApi) -> None:
    client = AsyncClient(headers=BROWSER)
    client.cookies["tsuid"] = GUEST

    response = await client.get("/login-async/?name=anna")
    assert await sync_to_async(flush)(PATIENCE)
    await sync_to_async(connections.close_all)()

    assert response.status_code == 200
    assert api.links == [{"from": GUEST, "to": "customer-anna"}]


def test_login_does_not_wait_for_topsort(api: FakeApi) -> None:
    with api.hang():
        before = time.monotonic()
        enter()
        assert time.monotonic() - before < 2.0  # TOPSORT_TIMEOUT has ten
        assert not flush(0.01)
    assert flush(PATIENCE)

    assert len(api.links) == 1


@pytest.mark.parametrize("status", [503, 429, 500, 401])
def test_link_that_fails_is_tried_again(
    api: FakeApi, counts: dict[str, Any], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    api.answer(status, times=2, matches=is_link)

    enter()
    assert flush(PATIENCE)

    assert len(api.links) == 1
    assert get_ends(counts) == {"recorded": 1, "delivered": 1}
    assert f"link of users not sent yet waiting=1 error={get_name(status)}" in caplog.text


def get_name(status: int) -> str:
    return {429: "RateLimited", 401: "AuthenticationFailed"}.get(status, "ServerUnavailable")


@pytest.mark.parametrize("status", [403, 404])
def test_account_without_access_is_told_once_and_its_events_go_on(
    api: FakeApi, counts: dict[str, Any], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    api.answer(status, matches=is_link)

    enter("anna")
    assert flush(PATIENCE)
    enter("ben")
    assert flush(PATIENCE)

    assert len(list(filter(is_link, api.requests))) == 1
    assert len(api.pageviews) == 2
    assert not get_status()["is_paused"]
    assert get_ends(counts) == {"recorded": 2, "no_access": 2}
    said = [line for line in caplog.messages if "links of users" in line]
    assert len(said) == 1
    assert "reason=no_access" in said[0]
    assert "ask for it" in said[0]


def test_link_that_was_dropped_is_reported_at_the_next_login(api: FakeApi) -> None:
    with api.answer(403, matches=is_link):
        enter()
        assert flush(PATIENCE)
    routing._backends.clear()  # the process is restarted

    enter()
    assert flush(PATIENCE)

    assert len(api.links) == 1


def test_link_that_is_refused_is_not_asked_about_again(
    api: FakeApi, counts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    api.answer(400, body=b'{"errCode": "bad_request"}', matches=is_link)

    enter()
    enter()
    assert flush(PATIENCE)

    assert len(list(filter(is_link, api.requests))) == 1
    assert get_ends(counts) == {"recorded": 1, "rejected": 1}
    assert "link of users rejected error=status=400 errCode=bad_request" in caplog.text


def test_id_that_is_none_is_left_out_and_not_shown(
    settings: Any, counts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    settings.TOPSORT_USER_ID = lambda request: request.user.is_authenticated and "secret" * 20

    enter()

    assert get_ends(counts) == {"recorded": 1, "invalid": 1}
    assert "link of users left out reason=invalid error=InvalidEvent" in caplog.text
    assert "secret" not in caplog.text


def test_function_that_raises_breaks_no_login(
    settings: Any, counts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_USER_ID = lambda request: 1 // int(not request.user.is_authenticated)

    enter()

    assert get_ends(counts) == {"recorded": 1, "invalid": 1}
    assert "error=ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("backend", "reason", "is_said"),
    [
        ("django_topsort.backends.dummy.EventBackend", "disabled", False),
        ("django_topsort.backends.http.EventBackend", "no_backend", True),
        ("no.such.Backend", "backend_error", True),
    ],
)
def test_backend_that_links_nobody_drops_with_a_reason(
    settings: Any,
    api: FakeApi,
    counts: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    backend: str,
    reason: str,
    is_said: bool,
) -> None:
    settings.TOPSORT_BACKENDS = {"default": backend}

    enter()

    assert api.links == []
    assert get_ends(counts) == {"recorded": 1, reason: 1}
    assert ("links of users dropped" in caplog.text) is is_said


def test_tests_that_catch_events_report_no_links(api: FakeApi, counts: dict[str, Any]) -> None:
    with capture_events():
        enter()

    assert get_ends(counts) == {"recorded": 1, "disabled": 1}


def test_outbox_leaves_links_to_the_threads(settings: Any, api: FakeApi) -> None:
    settings.TOPSORT_BACKENDS = {"default": "django_topsort.outbox.backend.EventBackend"}
    settings.TOPSORT_OUTBOX_RELAY = False

    enter()
    routing.get_memory_backend().flush(PATIENCE)

    assert len(api.links) == 1


def test_cache_that_does_not_answer_costs_no_link(
    settings: Any, api: FakeApi, counts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = BROKEN_CACHE
    with api.answer(403, matches=is_link, times=1):
        enter()
        assert flush(PATIENCE)

    assert get_ends(counts) == {"recorded": 1, "no_access": 1}
    assert "link of users not claimed" in caplog.text
    assert "link of users not released error=AttributeError" in caplog.text


def test_cache_in_a_database_leaves_no_connection_open(settings: Any, api: FakeApi) -> None:
    from django.core.management import call_command

    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "topsort_cache",
        }
    }
    call_command("createcachetable", verbosity=0)
    enter()
    assert flush(PATIENCE)
    enter()
    assert flush(PATIENCE)

    assert len(api.links) == 1


def test_status_says_what_became_of_links(api: FakeApi) -> None:
    enter()
    assert flush(PATIENCE)
    accounts.count_link("recorded")
    accounts.count_link("dropped", "shutdown")

    status = get_status()

    links = status["links"]
    assert links["recorded"] == sum(
        links[name] for name in ("delivered", "rejected", "dropped", "waiting")
    )
    assert f"links of users: {links['recorded']} recorded" in describe_status(status)
    assert "dropped links shutdown: " in describe_status(status)
    delivered = f'topsort_links{{is="delivered",pid="{status["pid"]}"}} {links["delivered"]}'
    assert delivered in format_prometheus(status)


def test_log_shows_no_id(api: FakeApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "django_topsort")
    api.answer(503, times=1, matches=is_link)
    api.answer(400, times=1, matches=is_link)

    enter()
    assert flush(PATIENCE)

    assert "rejected" in caplog.text
    assert GUEST not in caplog.text
    assert "customer-" not in caplog.text


def test_backend_of_a_test_that_is_over_links_nobody(
    settings: Any, api: FakeApi, counts: dict[str, Any]
) -> None:
    settings.TOPSORT_FLUSH_INTERVAL = 0.01
    with use_fresh_backend():
        path = settings.TOPSORT_BACKENDS
        enter("anna")
        assert flush(PATIENCE)
    settings.TOPSORT_BACKENDS = path
    enter("ben")

    assert [link["to"] for link in api.links] == ["customer-anna"]
    assert get_ends(counts) == {"recorded": 2, "delivered": 1, "no_backend": 1}
