"""Bodies of all sizes, also over a socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from io import BytesIO
from threading import Thread
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.http import HttpRequest, UnreadablePostError
from django.test import RequestFactory, override_settings
from rest_framework.exceptions import ParseError

from django_topsort.backends.locmem import outbox
from django_topsort.rest_framework.bodies import NoLength, TooLarge, get_max_size, read_bounded
from tests.browser.sending import URL, build_impression, encode

BODY = encode(impressions=[build_impression()])


class Endless(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return b"x" * (size or 0)


class Leaving(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise UnreadablePostError("connection reset")


def build(body: bytes, **meta: Any) -> HttpRequest:
    return RequestFactory().post(URL, body, "application/json", **meta)


@override_settings(TOPSORT_MAX_BODY_SIZE=2000)
def test_body_is_read_up_to_the_limit() -> None:
    assert read_bounded(build(b"x" * 2000)) == b"x" * 2000
    with pytest.raises(TooLarge):
        read_bounded(build(b"x" * 2001))


@override_settings(TOPSORT_MAX_BODY_SIZE=2000)
@pytest.mark.parametrize("said", ["2001", "9" * 5000])
def test_body_that_says_it_is_too_large_is_not_read(said: str) -> None:
    request = build(b"x", CONTENT_LENGTH=said)

    with pytest.raises(TooLarge):
        read_bounded(request)
    assert not request._read_started  # type: ignore[attr-defined]


@override_settings(TOPSORT_MAX_BODY_SIZE=2000)
@pytest.mark.parametrize("said", ["", "many", "-5"])
def test_body_that_does_not_say_how_large_it_is_is_read_to_the_limit(said: str) -> None:
    request = build(b"x")
    request.META["CONTENT_LENGTH"] = said
    request._stream = Endless()

    with pytest.raises(TooLarge):
        read_bounded(request)


def test_body_that_a_middleware_has_read_is_there_all_the_same() -> None:
    request = build(BODY)
    assert request.body == BODY

    assert read_bounded(request) == BODY


@override_settings(TOPSORT_MAX_BODY_SIZE=2000)
def test_body_that_is_too_large_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    unsaid = build(b"x")
    unsaid.META["CONTENT_LENGTH"] = ""
    unsaid._stream = Endless()
    for request in (build(b"x" * 2001), unsaid, build(b"x" * 2001)):
        with pytest.raises(TooLarge):
            read_bounded(request)

    (line,) = caplog.records
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        "browser's request not taken: more bytes than TOPSORT_MAX_BODY_SIZE=2000"
    )


@pytest.mark.parametrize(
    ("body", "said", "encoding", "is_read"),
    [
        (b"", "", "chunked", False),
        (b"{}", "", "chunked", True),
        (b"", "0", "chunked", True),
        (b"", "", "", True),
    ],
    ids=["unreadable", "buffered", "empty", "no body"],
)
def test_chunked_body_is_refused_where_none_of_it_can_be_read(
    body: bytes, said: str, encoding: str, is_read: bool
) -> None:
    request = build(b"x", HTTP_TRANSFER_ENCODING=encoding)
    request.META["CONTENT_LENGTH"] = said
    request._stream = BytesIO(body)

    if is_read:
        assert read_bounded(request) == body
    else:
        with pytest.raises(NoLength, match="Content-Length"):
            read_bounded(request)


def test_client_that_leaves_is_no_error_of_the_shops() -> None:
    request = build(b"x", CONTENT_LENGTH="100")
    request._stream = Leaving()
    with pytest.raises(ParseError):
        read_bounded(request)


@pytest.mark.parametrize("size", [None, "64 kB", -1, 0, True])
def test_setting_that_is_no_size_counts_as_the_default(size: Any) -> None:
    with override_settings(TOPSORT_MAX_BODY_SIZE=size):
        assert get_max_size() == 64 * 1024


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """Where a server of Django's listens."""
    with ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler) as server:
        server.set_app(WSGIHandler())
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield ("127.0.0.1", server.server_address[1])
        server.shutdown()
        thread.join()


def talk(address: tuple[str, int], *parts: bytes) -> bytes:
    """Return what the server answers to these bytes, after which nothing more comes."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"".join(parts))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def build_head(length: int) -> bytes:
    return (
        f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 Firefox/140.0\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


def test_server_takes_a_body_whole_and_refuses_what_is_too_large_or_broken_off(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    assert talk(address, build_head(len(BODY)), BODY).startswith(b"HTTP/1.1 204")
    assert len(outbox) == 1
    chunked = build_head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    answer = talk(address, chunked, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
    assert answer.startswith(b"HTTP/1.1 411")
    assert b'"errCode": "bad_request"' in answer
    assert b"send a Content-Length" in answer
    assert talk(address, build_head(10**9)).startswith(b"HTTP/1.1 413")
    assert talk(address, build_head(len(BODY) + 9), BODY[:-9]).startswith(b"HTTP/1.1 400")

    assert len(outbox) == 1
    assert [line for line in caplog.records if line.levelname == "ERROR"] == []
