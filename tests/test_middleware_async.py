"""The middleware under ASGI: the same, and clients that leave."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref import testing
from asgiref.sync import iscoroutinefunction
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, override_settings

from django_topsort.backends.locmem import outbox
from django_topsort.middleware import TopsortMiddleware
from django_topsort.shoppers import read_shopper
from django_topsort.tracking import track_pageview
from tests.pages import BlockingBackend, record_all, show_async

pytestmark = pytest.mark.urls("tests.pages")

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
OURS = "django_topsort.middleware.TopsortMiddleware"
SHORT = "tests.pages.ShortCircuit"
ALL_KINDS = ["impressions", "clicks", "pageviews", "purchases"]

LOCMEM = {"default": "django_topsort.backends.locmem.EventBackend"}
BLOCKING = {"default": f"{BlockingBackend.__module__}.BlockingBackend"}

ApplicationCommunicator: Any = testing.ApplicationCommunicator  # asgiref does not annotate it

each_backend = pytest.mark.parametrize("backends", [LOCMEM, BLOCKING], ids=["locmem", "blocking"])


@pytest.fixture
def client() -> AsyncClient:
    return AsyncClient(headers=BROWSER, raise_request_exception=False)


class KeepingHandler(ASGIHandler):
    """Keeps the request's body, which Django does not close when a streaming body raises."""

    async def read_body(self, receive: Any) -> Any:
        self.body = await super().read_body(receive)
        return self.body


def get_kinds() -> list[str]:
    return [event.kind for event in outbox]


def build_scope(path: str, query: bytes = b"") -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [(b"host", b"testserver"), (b"user-agent", b"Mozilla/5.0 Firefox/140.0")],
        # For the view that waits, which runs in another thread.
        "view_runs": threading.Event(),
        "client_left": threading.Event(),
        "view_ended": threading.Event(),
    }


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another thread makes it true
            await asyncio.sleep(0.01)


@pytest.fixture
async def serve(served: None) -> AsyncIterator[Callable[[str], Any]]:
    """Return what starts a request as an ASGI server does."""
    started = []

    def start(path: str) -> Any:
        server = ApplicationCommunicator(ASGIHandler(), build_scope(path))
        started.append(server)
        return server

    yield start
    for server in started:
        await server.wait(timeout=10)


async def read_body(server: Any) -> str:
    await server.send_input({"type": "http.request"})
    start = await server.receive_output(10)
    assert start["type"] == "http.response.start"
    body = b""
    more = True
    while more:
        part = await server.receive_output(10)
        body += part.get("body", b"")
        more = part.get("more_body", False)
    return body.decode()


def test_middleware_is_async_where_django_is() -> None:
    assert iscoroutinefunction(TopsortMiddleware(show_async))
    assert not iscoroutinefunction(TopsortMiddleware(lambda request: HttpResponse()))


@pytest.mark.parametrize("url", ["/plain/", "/async/"])
async def test_events_are_held_until_the_view_is_done(client: AsyncClient, url: str) -> None:
    response = await client.get(url)

    assert response.content == b"held 4"
    assert get_kinds() == ALL_KINDS
    assert response.cookies["tsuid"].value == outbox[0].opaque_user_id
    assert response["Vary"] == "Cookie"


async def test_template_that_is_rendered_late_is_heard(client: AsyncClient) -> None:
    response = await client.get("/late/")

    assert get_kinds() == ["impressions", "pageviews"]
    assert "tsuid" in response.cookies


@pytest.mark.parametrize(("url", "status"), [("/fail/", 500), ("/503/", 503)])
async def test_page_that_failed_was_not_seen(
    client: AsyncClient, url: str, status: int, drops: list[tuple[str, str, int]]
) -> None:
    response = await client.get(url)

    assert response.status_code == status
    assert get_kinds() == ["clicks", "purchases"]
    assert drops == [("impressions", "server_error", 1), ("pageviews", "server_error", 1)]


async def test_page_that_was_not_found_was_seen(client: AsyncClient) -> None:
    assert (await client.get("/404/")).status_code == 404
    assert get_kinds() == ALL_KINDS


async def test_exception_of_a_view_that_is_wrapped_by_hand_is_let_through() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        record_all(request)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await TopsortMiddleware(view)(AsyncRequestFactory().get("/"))

    assert get_kinds() == ["clicks", "purchases"]


async def test_middleware_that_is_there_twice_sends_once(client: AsyncClient) -> None:
    with override_settings(MIDDLEWARE=[OURS, OURS]):
        assert (await client.get("/plain/")).content == b"held 4"

    assert get_kinds() == ALL_KINDS


@pytest.mark.parametrize("url", ["/stream/", "/async-stream/"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
async def test_streamed_events_pass_straight_through(serve: Callable[[str], Any], url: str) -> None:
    body = await read_body(serve(url))

    assert len(body.split()) == 3
    assert get_kinds() == ["pageviews"] + ["impressions"] * 3


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
async def test_file_is_served(serve: Callable[[str], Any]) -> None:
    assert await read_body(serve("/file/")) == "file"
    assert get_kinds() == ["pageviews"]


@pytest.mark.parametrize("url", ["/stream/", "/async-stream/"])
@each_backend
@pytest.mark.usefixtures("served")
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
async def test_stream_that_fails_keeps_what_was_recorded(
    url: str, backends: dict[str, str]
) -> None:
    with override_settings(TOPSORT_BACKENDS=backends):
        handler = KeepingHandler()
        server = ApplicationCommunicator(handler, build_scope(url, b"fail"))
        await server.send_input({"type": "http.request"})
        with pytest.raises(ZeroDivisionError):
            await server.wait(10)
        await wait_until(lambda: len(outbox) == 3)
        handler.body.close()

    assert sorted(get_kinds()) == ["impressions"] * 2 + ["pageviews"]


async def test_events_are_sent_before_the_body(
    serve: Callable[[str], Any],
) -> None:
    server = serve("/plain/")
    await server.send_input({"type": "http.request"})

    await server.receive_output(10)

    assert get_kinds() == ALL_KINDS
    await server.receive_output(10)


@override_settings(TOPSORT_BACKENDS=BLOCKING)
@pytest.mark.parametrize("url", ["/plain/", "/async/", "/late/", "/fail/"])
async def test_blocking_backend_gets_events_after_the_last_byte(
    serve: Callable[[str], Any], url: str
) -> None:
    server = serve(url)

    await read_body(server)
    await server.wait(10)

    expected = {"/late/": ["impressions", "pageviews"], "/fail/": ["clicks", "purchases"]}
    assert get_kinds() == expected.get(url, ALL_KINDS)


@each_backend
async def test_client_that_leaves_an_async_view_loses_no_event(
    serve: Callable[[str], Any], backends: dict[str, str]
) -> None:
    with override_settings(TOPSORT_BACKENDS=backends):
        server = serve("/wait-async/")
        await server.send_input({"type": "http.request"})
        await server.receive_nothing(0.1)
        await server.send_input({"type": "http.disconnect"})
        await server.wait(10)
        await wait_until(lambda: len(outbox) == 4)

    assert get_kinds() == ALL_KINDS


@pytest.mark.usefixtures("served")
@each_backend
@pytest.mark.parametrize("middleware", [[OURS], [OURS, SHORT], [SHORT, OURS]])
async def test_client_that_leaves_a_sync_view_loses_no_event(
    backends: dict[str, str], middleware: list[str]
) -> None:
    with override_settings(TOPSORT_BACKENDS=backends, MIDDLEWARE=middleware):
        scope = build_scope("/wait/")
        server = ApplicationCommunicator(ASGIHandler(), scope)
        await server.send_input({"type": "http.request"})
        await wait_until(scope["view_runs"].is_set)
        await server.send_input({"type": "http.disconnect"})
        await server.receive_nothing(0.1)

        # The view goes on in its thread, and records as much again.
        scope["client_left"].set()
        await server.wait(10)
        await wait_until(scope["view_ended"].is_set)
        del server
        gc.collect()
        await wait_until(lambda: len(outbox) == 8)

    assert sorted(get_kinds()) == sorted(ALL_KINDS * 2)


@override_settings(TOPSORT_BACKENDS=BLOCKING)
async def test_request_that_nobody_closes_sends_in_the_end() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(track_pageview(request)))

    request = AsyncRequestFactory().get("/")
    await TopsortMiddleware(view)(request)
    assert outbox == []

    del request
    gc.collect()

    await wait_until(lambda: outbox)
    assert get_kinds() == ["pageviews"]


@override_settings(TOPSORT_USER_HEADER=True)
async def test_header_that_an_answer_gave_names_the_same_shopper() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        track_pageview(request)
        return HttpResponse()

    build = AsyncRequestFactory(headers=BROWSER).get
    first: Any = await TopsortMiddleware(view)(build("/"))
    headers = {"x-topsort-user": first["X-Topsort-User"]}
    again: Any = await TopsortMiddleware(view)(build("/", headers=headers))

    shopper = read_shopper(first["X-Topsort-User"])
    assert read_shopper(again["X-Topsort-User"]) == shopper
    assert [event.opaque_user_id for event in outbox] == [shopper, shopper]
    assert again["Vary"] == "Cookie, X-Topsort-User"
