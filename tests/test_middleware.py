"""The middleware: when events go out, the cookie, and pages that fail. Under WSGI."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.utils.cache import patch_cache_control

from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.middleware import TopsortMiddleware
from django_topsort.tracking import track_impression, track_pageview
from tests.logs import handle_log
from tests.pages import BlockingBackend, RaisingBackend, record_all

pytestmark = pytest.mark.urls("tests.pages")

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
OURS = "django_topsort.middleware.TopsortMiddleware"
SHORT = "tests.pages.ShortCircuit"

blocking = override_settings(
    TOPSORT_BACKENDS={"default": f"{BlockingBackend.__module__}.BlockingBackend"}
)


@pytest.fixture
def client() -> Client:
    return Client(headers=BROWSER, raise_request_exception=False)


def get_kinds() -> list[str]:
    return [event.kind for event in outbox]


ALL_KINDS = ["impressions", "clicks", "pageviews", "purchases"]


def call_handler(environ: dict[str, Any]) -> Any:
    handler: Any = WSGIHandler()
    return handler(environ, lambda status, headers: None)


def call_wsgi(url: str) -> tuple[list[bytes], list[str], Callable[[], None]]:
    """Call the WSGI application as a server does; return body, kinds at its last byte, close."""
    environ = RequestFactory(headers=BROWSER).get(url).environ
    response = call_handler(environ)
    return list(response), get_kinds(), response.close


def test_events_are_held_until_the_view_is_done(client: Client) -> None:
    response = client.get("/plain/")

    assert response.content == b"held 4"
    assert get_kinds() == ALL_KINDS


def test_nothing_is_sent_for_a_page_that_says_nothing(client: Client) -> None:
    response = client.get("/nothing/")

    assert outbox == []
    assert response.cookies == {}
    assert "Cookie" not in response.headers.get("Vary", "")


@pytest.mark.django_db
def test_middleware_makes_no_query(
    client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_num_queries(0):
        client.get("/plain/")
        client.get("/fail/")

    assert outbox


def test_template_that_is_rendered_late_is_heard(client: Client) -> None:
    response = client.get("/late/")

    assert get_kinds() == ["impressions", "pageviews"]
    assert "tsuid" in response.cookies


def test_file_response_sends_at_once(client: Client) -> None:
    response = client.get("/file/")

    assert get_kinds() == ["pageviews"]
    assert b"".join(response.streaming_content) == b"file"  # type: ignore[attr-defined]


def test_streamed_events_pass_straight_through(client: Client) -> None:
    response = client.get("/stream/")

    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    assert body == "12 23 34 "  # each line says how many events are there by then
    assert get_kinds() == ["pageviews"] + ["impressions"] * 3


def test_stream_that_fails_keeps_what_was_recorded(client: Client) -> None:
    response = client.get("/stream/?fail")

    with pytest.raises(ZeroDivisionError):
        list(response.streaming_content)  # type: ignore[attr-defined]
    assert get_kinds() == ["pageviews"] + ["impressions"] * 2


@pytest.mark.usefixtures("served")
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators")
def test_async_stream_is_heard_under_wsgi() -> None:
    body, kinds, close = call_wsgi("/async-stream/")
    close()

    assert len(body) == 3
    assert kinds == ["pageviews"] + ["impressions"] * 3


@pytest.mark.usefixtures("served")
def test_events_are_sent_before_the_body_under_wsgi() -> None:
    environ = RequestFactory(headers=BROWSER).get("/plain/").environ

    response = call_handler(environ)

    assert get_kinds() == ALL_KINDS
    response.close()
    assert get_kinds() == ALL_KINDS


@pytest.mark.usefixtures("served")
@blocking
@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        ("/plain/", ALL_KINDS),
        ("/late/", ["impressions", "pageviews"]),
        ("/file/", ["pageviews"]),
        ("/stream/", ["pageviews"] + ["impressions"] * 3),
        ("/fail/", ["clicks", "purchases"]),
        ("/nothing/", []),
    ],
)
def test_blocking_backend_gets_events_after_the_last_byte(url: str, kinds: list[str]) -> None:
    _, kinds_at_last_byte, close = call_wsgi(url)

    assert kinds_at_last_byte == []
    close()
    assert get_kinds() == kinds
    close()
    assert get_kinds() == kinds


@pytest.mark.usefixtures("served")
@blocking
def test_blocking_backend_gets_the_events_of_a_stream_that_fails() -> None:
    environ = RequestFactory(headers=BROWSER).get("/stream/?fail").environ
    response = call_handler(environ)

    with pytest.raises(ZeroDivisionError):
        list(response)
    assert outbox == []
    response.close()
    assert get_kinds() == ["pageviews"] + ["impressions"] * 2


@blocking
@override_settings(
    MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware", OURS],
)
def test_blocking_backend_gets_events_of_a_response_that_was_replaced(client: Client) -> None:
    etag = client.get("/plain/")["ETag"]
    outbox.clear()

    response = client.get("/plain/", headers={"if-none-match": etag})

    assert response.status_code == 304
    assert get_kinds() == ALL_KINDS


def test_page_that_was_not_modified_was_seen(client: Client) -> None:
    middleware = [OURS, "django.middleware.http.ConditionalGetMiddleware"]
    with override_settings(MIDDLEWARE=middleware):
        etag = client.get("/plain/")["ETag"]
        outbox.clear()
        response = client.get("/plain/", headers={"if-none-match": etag})

    assert response.status_code == 304
    assert get_kinds() == ALL_KINDS


@override_settings(MIDDLEWARE=[OURS, "django.middleware.common.CommonMiddleware"])
def test_redirect_to_the_slash_sends_nothing_twice(client: Client) -> None:
    response = client.get("/plain", follow=True)

    assert response.redirect_chain == [("/plain/", 301)]
    assert get_kinds() == ALL_KINDS


def test_middleware_that_replaces_the_response_loses_no_event(client: Client) -> None:
    with override_settings(MIDDLEWARE=[OURS, SHORT]):
        response = client.get("/plain/?replace")

    assert response.content == b"replaced"
    assert "tsuid" in response.cookies
    assert get_kinds() == ALL_KINDS


@pytest.mark.parametrize(("url", "status"), [("/fail/", 500), ("/503/", 503)])
def test_page_that_failed_was_not_seen(
    client: Client, url: str, status: int, drops: list[tuple[str, str, int]]
) -> None:
    before = accounts.get_counts()

    response = client.get(url)

    after = accounts.get_counts()
    assert response.status_code == status
    assert get_kinds() == ["clicks", "purchases"]
    assert drops == [("impressions", "server_error", 1), ("pageviews", "server_error", 1)]
    for kind, delivered in zip(ALL_KINDS, [0, 1, 0, 1], strict=True):
        assert after[kind]["recorded"] - before[kind]["recorded"] == 1
        assert after[kind]["delivered"] - before[kind]["delivered"] == delivered
        assert after[kind]["waiting"] == before[kind]["waiting"]


def test_middleware_that_breaks_the_page_leaves_out_what_nobody_saw(client: Client) -> None:
    with override_settings(MIDDLEWARE=[OURS, SHORT]):
        assert client.get("/plain/?break").status_code == 500

    assert get_kinds() == ["clicks", "purchases"]


def test_page_that_only_shows_and_fails_sends_nothing(drops: list[tuple[str, str, int]]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        track_impression(request, "shoe-1")
        return HttpResponse(status=500)

    TopsortMiddleware(view)(RequestFactory().get("/"))

    assert outbox == []
    assert drops == [("impressions", "server_error", 1)]


def test_exception_of_a_view_that_is_wrapped_by_hand_is_let_through() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        record_all(request)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        TopsortMiddleware(view)(RequestFactory().get("/"))

    assert get_kinds() == ["clicks", "purchases"]


def test_page_that_was_not_found_was_seen(client: Client) -> None:
    assert client.get("/404/").status_code == 404
    assert get_kinds() == ALL_KINDS


@pytest.mark.parametrize(
    ("method", "headers"),
    [("HEAD", {}), ("GET", {"sec-purpose": "prefetch"}), ("GET", {"user-agent": "Googlebot"})],
)
def test_purchases_of_a_request_that_nobody_sees_are_kept(
    client: Client, method: str, headers: dict[str, str]
) -> None:
    response = client.generic(method, "/plain/", headers=headers)

    assert get_kinds() == ["purchases"]
    assert "tsuid" not in response.cookies


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_no_cookie_without_consent(client: Client) -> None:
    response = client.get("/plain/")

    assert get_kinds() == []
    assert response.cookies == {}


def test_cookie_of_a_new_shopper(client: Client) -> None:
    response = client.get("/plain/")

    cookie = response.cookies["tsuid"]
    assert {event.opaque_user_id for event in outbox} == {cookie.value, "buyer"}
    assert cookie["max-age"] == 365 * 24 * 60 * 60
    assert cookie["path"] == "/"
    assert cookie["samesite"] == "Lax"
    assert cookie["secure"] == ""
    assert cookie["httponly"] == ""
    assert cookie["domain"] == ""
    assert response["Vary"] == "Cookie"


def test_cookie_of_a_secure_request_is_secure(client: Client) -> None:
    assert client.get("/plain/", secure=True).cookies["tsuid"]["secure"] is True


@override_settings(
    TOPSORT_COOKIE_NAME="shopper",
    TOPSORT_COOKIE_AGE=60,
    TOPSORT_COOKIE_SECURE=True,
    TOPSORT_COOKIE_SAMESITE="None",
    TOPSORT_COOKIE_HTTPONLY=True,
    TOPSORT_COOKIE_DOMAIN="shop.example",
)
def test_cookie_follows_the_settings(client: Client) -> None:
    cookie = client.get("/plain/").cookies["shopper"]

    assert cookie["max-age"] == 60
    assert cookie["samesite"] == "None"
    assert cookie["secure"] is True
    assert cookie["httponly"] is True
    assert cookie["domain"] == "shop.example"


def test_cookie_is_refreshed(client: Client) -> None:
    client.cookies["tsuid"] = SHOPPER

    response = client.get("/late/")

    assert response.cookies["tsuid"].value == SHOPPER
    assert response.cookies["tsuid"]["max-age"] == 365 * 24 * 60 * 60
    assert {event.opaque_user_id for event in outbox} == {SHOPPER}


@pytest.mark.parametrize("value", ["x" * 65, "<script>", "a b", "ü", ""])
def test_malformed_cookie_is_replaced_and_never_echoed(client: Client, value: str) -> None:
    client.cookies["tsuid"] = value

    response = client.get("/late/")

    new = response.cookies["tsuid"].value
    assert len(new) == 36
    assert {event.opaque_user_id for event in outbox} == {new}
    assert response.headers["Vary"] == "Cookie"


@override_settings(TOPSORT_USER_ID=lambda request: "account-7")
def test_no_cookie_where_a_hook_knows_the_shopper(client: Client) -> None:
    response = client.get("/late/")

    assert response.cookies == {}
    assert response["Vary"] == "Cookie"
    assert response["Cache-Control"] == "private"
    assert {event.opaque_user_id for event in outbox} == {"account-7"}


@override_settings(TOPSORT_COOKIE_SAMESITE="Sometimes")
def test_cookie_that_cannot_be_set_breaks_no_page(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        response = client.get("/plain/")
        assert response.status_code == 200
        assert response.cookies == {}
        assert response["Vary"] == "Cookie"
    assert get_kinds() == ALL_KINDS * 3
    (line,) = caplog.records  # and not 3 tracebacks
    assert "cookie not set" in line.getMessage()
    assert line.exc_info is not None


def show(respond: Callable[[HttpResponse], object]) -> HttpResponse:
    """Return what goes out of a page that tracks, and does something to its response."""

    def view(request: HttpRequest) -> HttpResponse:
        track_pageview(request)
        response = HttpResponse("page")
        respond(response)
        return response

    response = TopsortMiddleware(view)(RequestFactory(headers=BROWSER).get("/"))
    assert isinstance(response, HttpResponse)
    return response


def test_cookie_that_the_view_deletes_stays_deleted() -> None:
    response = show(lambda response: response.delete_cookie("tsuid"))

    assert response.cookies["tsuid"]["max-age"] == 0
    assert response.cookies["tsuid"].value == ""
    assert get_kinds() == ["pageviews"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"private"}),
        ({"max_age": 600}, {"max-age=600", "private"}),
        ({"public": True, "max_age": 600}, {"max-age=600", "private"}),
        ({"no_store": True}, {"no-store"}),
        ({"private": True, "max_age": 5}, {"private", "max-age=5"}),
    ],
)
def test_response_with_the_cookie_is_in_no_shared_cache(
    given: dict[str, Any], expected: set[str]
) -> None:
    def cache(response: HttpResponse) -> None:
        if given:
            patch_cache_control(response, **given)

    assert set(show(cache)["Cache-Control"].split(", ")) == expected


@override_settings(
    MIDDLEWARE=[
        OURS,
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
)
def test_page_that_django_caches_is_in_no_shared_cache_with_the_cookie(client: Client) -> None:
    response = client.get("/plain/")

    assert "tsuid" in response.cookies
    assert "private" in response["Cache-Control"]


def test_page_without_the_cookie_may_be_cached(client: Client) -> None:
    assert "Cache-Control" not in client.get("/nothing/").headers


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
@pytest.mark.parametrize("url", ["/plain/", "/503/"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"TOPSORT_BACKENDS": {"default": f"{RaisingBackend.__module__}.RaisingBackend"}},
        {"TOPSORT_BACKENDS": {"default": "nowhere.EventBackend"}},
        {"TOPSORT_COOKIE_SAMESITE": "Sometimes"},
    ],
)
def test_log_handler_that_raises_breaks_no_page(
    client: Client, settings: dict[str, Any], url: str, level: int
) -> None:
    before = accounts.get_counts()
    with override_settings(**settings), handle_log(fail, level):
        assert client.get(url).status_code == (200 if url == "/plain/" else 503)

    after = accounts.get_counts()
    for kind in ALL_KINDS:
        assert after[kind]["recorded"] - before[kind]["recorded"] == 1
        assert after[kind]["waiting"] <= before[kind]["waiting"]


def fail(line: logging.LogRecord) -> None:
    raise ZeroDivisionError


@override_settings(MIDDLEWARE=[])
def test_without_the_middleware_events_go_one_by_one(client: Client) -> None:
    response = client.get("/plain/")

    assert response.content == b"held 0"
    assert response.cookies == {}
    assert get_kinds() == ALL_KINDS
    assert len({event.opaque_user_id for event in outbox[:3]}) == 1


@override_settings(MIDDLEWARE=[SHORT, OURS])
def test_middleware_before_ours_that_answers_by_itself(client: Client) -> None:
    assert client.get("/plain/?stop&early").content == b"stopped"
    assert get_kinds() == ["pageviews"]


@override_settings(MIDDLEWARE=[SHORT, OURS])
def test_middleware_before_ours_that_tracks_names_the_same_shopper(client: Client) -> None:
    response = client.get("/late/?early")

    assert get_kinds() == ["pageviews", "impressions", "pageviews"]
    assert {event.opaque_user_id for event in outbox} == {response.cookies["tsuid"].value}


@override_settings(MIDDLEWARE=[OURS, SHORT, OURS])
def test_middleware_that_is_there_twice_sends_once(client: Client) -> None:
    assert client.get("/plain/").status_code == 200
    assert get_kinds() == ALL_KINDS
    outbox.clear()

    # The outer one knows how the request ends.
    assert client.get("/plain/?break").status_code == 500
    assert get_kinds() == ["clicks", "purchases"]


def test_attribute_of_that_name_which_is_not_ours_is_replaced() -> None:
    request = RequestFactory().get("/")
    request.topsort = "of another package"  # type: ignore[attr-defined]

    TopsortMiddleware(lambda request: HttpResponse(str(track_pageview(request))))(request)

    assert get_kinds() == ["pageviews"]


@override_settings(
    TOPSORT_BACKENDS={"default": f"{RaisingBackend.__module__}.RaisingBackend"},
)
def test_backend_that_raises_breaks_no_page(
    client: Client, drops: list[tuple[str, str, int]]
) -> None:
    assert client.get("/plain/").status_code == 200
    assert sorted(drops) == [(kind, "backend_error", 1) for kind in sorted(ALL_KINDS)]


@override_settings(TOPSORT_BACKENDS={"default": "nowhere.EventBackend"})
def test_backend_that_cannot_be_imported_breaks_no_page(
    client: Client, drops: list[tuple[str, str, int]]
) -> None:
    assert client.get("/plain/").status_code == 200
    assert sorted(drops) == [(kind, "no_backend", 1) for kind in sorted(ALL_KINDS)]


def test_request_that_nobody_closes_sends_in_the_end() -> None:
    with blocking:
        request = RequestFactory().get("/plain/")
        TopsortMiddleware(lambda request: HttpResponse(str(track_pageview(request))))(request)
        assert outbox == []

        del request
        gc.collect()

        assert get_kinds() == ["pageviews"]


def test_request_and_its_events_make_no_cycle() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        record_all(request)
        return HttpResponse()

    gc.disable()  # what has a cycle stays until the next collection, and pages are large
    try:
        request = RequestFactory().get("/")
        TopsortMiddleware(view)(request)
        gone = weakref.ref(request)
        del request
        assert gone() is None
    finally:
        gc.enable()
