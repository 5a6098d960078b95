"""Requests over a connection that is open already: the same on the wire, and the same outcomes."""

from __future__ import annotations

import http.client
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

import pytest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool

import django_topsort
from django_topsort.client import TopsortClient
from django_topsort.exceptions import (
    ApiError,
    InvalidRequest,
    NoAnswer,
    PayloadTooLarge,
    RateLimited,
    ServerUnavailable,
    UnexpectedAnswer,
)
from tests.sockets import read_request, serve

KEY = "TSE_canary-7b2e1"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nDate: Mon, 01 Jan 2026 10:00:00 GMT\r\n\r\n"
BAD = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\n\r\n{"errCode":"bad"}'
BODY = b'{"clicks":[]}'
MOST_CALLS = 105  # of functions, for a request; the long way takes over 500

# What the server does when it has read a request: bytes are sent, a function is called.
Step = bytes | Callable[[socket.socket], None]


class Server:
    """Plays one list of steps per connection; after the last, it answers each request with 204."""

    def __init__(self, url: str, requests: list[tuple[int, bytes]]) -> None:
        self.url = url
        self.requests = requests  # the connection's number, from 1, and the bytes

    def get_connections(self) -> list[int]:
        return [number for number, _ in self.requests]


@contextmanager
def play(*scripts: list[Step]) -> Iterator[Server]:
    todo = list(scripts)
    requests: list[tuple[int, bytes]] = []
    numbers = iter(range(1, 100))

    def talk(connection: socket.socket) -> None:
        number = next(numbers)
        steps = iter(todo.pop(0) if todo else [])
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while request := read_request(connection):
            requests.append((number, request))
            step = next(steps, NO_CONTENT)
            if isinstance(step, bytes):
                connection.sendall(step)
            else:
                step(connection)

    with serve(talk) as url:
        yield Server(url, requests)


@contextmanager
def connect(server: Server, timeout: tuple[float, float] = (2.0, 5.0)) -> Iterator[TopsortClient]:
    with closing(TopsortClient(server.url, KEY, timeout)) as client:
        yield client


def in_parts(*parts: bytes) -> Step:
    """Send each part in a packet of its own, so far apart that each is mostly read alone."""

    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)

    return send


def then_close(*parts: bytes) -> Step:
    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_RDWR)

    return send


def wait_for_end(connection: socket.socket) -> None:
    """Wait until the client has closed the connection, without reading what it has sent."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll(10_000)


def get_error(client: TopsortClient, body: bytes = BODY, limit: float | None = None) -> ApiError:
    with pytest.raises(ApiError) as raised:
        client.post_events(body, limit)
    return raised.value


# What goes out


def test_each_request_has_the_same_head() -> None:
    bodies = [b"{}", b'{"clicks":[]}', b"x" * 20_000, b"{}"]
    with play() as server, connect(server) as client:
        for body in bodies:
            client.post_events(body)

    assert server.requests == [
        (
            1,
            b"POST /v2/events HTTP/1.1\r\n"
            b"Host: %b\r\n"
            b"User-Agent: django-topsort/%b\r\n"
            b"Accept-Encoding: identity\r\n"
            b"Accept: application/json\r\n"
            b"Connection: keep-alive\r\n"
            b"Authorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\n"
            b"Content-Length: %d\r\n"
            b"\r\n%b"
            % (
                server.url.removeprefix("http://").encode(),
                django_topsort.__version__.encode(),
                KEY.encode(),
                len(body),
                body,
            ),
        )
        for body in bodies
    ]


def test_request_takes_few_calls() -> None:
    events: list[str] = []
    with play() as server, connect(server) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        profile = sys.getprofile()  # of whoever profiles the tests, and goes on afterwards
        sys.setprofile(lambda frame, event, argument: events.append(event))
        try:
            client.post_events(BODY)
        finally:
            sys.setprofile(profile)

    assert 10 < events.count("call") + events.count("c_call") <= MOST_CALLS


def test_header_that_a_tool_adds_on_the_way_is_of_its_request_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As tools do that trace requests.
    numbers = iter(range(1, 10))
    putrequest = http.client.HTTPConnection.putrequest

    def trace(self: Any, *args: Any, **options: Any) -> None:
        putrequest(self, *args, **options)
        self.putheader("X-Trace", f"number-{next(numbers)}")

    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", trace)
    with play() as server, connect(server) as client:
        for _ in range(3):
            client.post_events(BODY)

    assert [f"number-{n}".encode() in request for n, request in enumerate(
        (request for _, request in server.requests), 1
    )] == [True] * 3  # fmt: skip
    assert server.get_connections() == [1, 1, 1]


def test_header_that_is_changed_on_the_way_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    send = HTTPAdapter.send
    extra = iter([{}, {}, {"X-Extra": "1"}, {"Accept": "text/plain"}, {}])

    def change(self: Any, request: Any, **options: Any) -> Any:
        request.headers.update(next(extra))
        return send(self, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", change)
    with play() as server, connect(server) as client:
        for _ in range(5):
            client.post_events(BODY)

    heads = [request for _, request in server.requests]
    assert [b"\r\nX-Extra: 1\r\n" in head for head in heads] == [False, False, True, False, False]
    assert [b"\r\nAccept: text/plain\r\n" in head for head in heads] == [False] * 3 + [True, False]
    assert server.get_connections() == [1] * 5


def test_urllib3_writes_a_line_for_each_request_when_it_is_told_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with play() as server, connect(server) as client:
        client.post_events(BODY)
        with caplog.at_level(logging.DEBUG, "urllib3"):
            client.post_events(BODY)
            client.post_events(BODY)

    lines = [record.getMessage() for record in caplog.records if "POST" in record.getMessage()]
    assert lines == [f'{server.url} "POST /v2/events HTTP/1.1" 204 0'] * 2


# What comes back


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(in_parts(NO_CONTENT[:30], NO_CONTENT[30:]), id="in two parts"),
        pytest.param(in_parts(*(NO_CONTENT[n : n + 9] for n in range(0, 99, 9))), id="in many"),
        pytest.param(b"HTTP/1.1 204\r\n\r\n", id="no reason"),
        pytest.param(NO_CONTENT[:-2] + b"Connection: Keep-Alive\r\n\r\n", id="keep-alive"),
        pytest.param(NO_CONTENT[:-2] + b"content-length: 0\r\n\r\n", id="length 0"),
        pytest.param(NO_CONTENT[:-2] + b"X-Name: \xc3\xa4\r\n\r\n", id="letters"),
        pytest.param(NO_CONTENT[:-2] + b"X-Name: a\r\n b\r\n\r\n", id="folded"),
        pytest.param(NO_CONTENT[:-2] + b"X-Name: %b\r\n\r\n" % (b"x" * 9000), id="long head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", id="200"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            id="200 in chunks",
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + NO_CONTENT, id="100"),
        pytest.param(in_parts(b"HTTP/1.1 100 Continue\r\n\r\n", NO_CONTENT), id="100, parted"),
    ],
)
def test_success_keeps_the_connection(answer: Step) -> None:
    with play([NO_CONTENT, answer, BAD]) as server, connect(server) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        error = get_error(client)
        client.post_events(BODY)

    assert isinstance(error, InvalidRequest)
    assert server.get_connections() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(NO_CONTENT[:-2] + b"Connection: close\r\n\r\n", id="close"),
        pytest.param(NO_CONTENT[:-2] + b"connection: X, Close\r\n\r\n", id="close among others"),
        pytest.param(b"HTTP/1.0 204 No Content\r\n\r\n", id="HTTP/1.0"),
        pytest.param(then_close(b"HTTP/1.1 200 OK\r\n\r\n{}"), id="200 without a length"),
    ],
)
def test_success_after_which_the_server_closes_is_one(answer: Step) -> None:
    with play([NO_CONTENT, answer], [BAD]) as server, connect(server) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        error = get_error(client)

    assert isinstance(error, InvalidRequest)
    assert server.get_connections() == [1, 1, 2]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(NO_CONTENT + NO_CONTENT, id="twice"),
        pytest.param(NO_CONTENT + b"x", id="a byte"),
        pytest.param(NO_CONTENT[:-2] + b"Content-Length: 5\r\n\r\nhello", id="a body"),
        pytest.param(NO_CONTENT[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks"),
    ],
)
@pytest.mark.parametrize("is_parted", [False, True])
def test_more_than_an_answer_is_not_taken_for_the_next(answer: bytes, is_parted: bool) -> None:
    is_sent = threading.Event()

    def send(connection: socket.socket) -> None:
        end = answer.index(b"\r\n\r\n") + 4 if is_parted else len(answer)
        in_parts(answer[:end], answer[end:])(connection)  # type: ignore[operator]
        is_sent.set()

    with play([NO_CONTENT, send, BAD], [BAD]) as server, connect(server) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        assert is_sent.wait(10)
        error = get_error(client)

    assert isinstance(error, InvalidRequest)


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [
        (BAD, InvalidRequest),
        (in_parts(BAD[:-5], BAD[-5:]), InvalidRequest),
        (
            b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n3\r\noh!\r\n0\r\n\r\n",
            ServerUnavailable,
        ),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ServerUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", UnexpectedAnswer),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000, UnexpectedAnswer),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", RateLimited),
    ],
)
def test_error_keeps_the_connection(answer: Step, error_class: type[ApiError]) -> None:
    with play([NO_CONTENT, answer]) as server, connect(server) as client:
        client.post_events(BODY)
        error = get_error(client)
        client.post_events(BODY)

    assert type(error) is error_class
    assert error.retry_after == (7 if error_class is RateLimited else None)
    assert server.get_connections() == [1, 1, 1]


# Connections that end


def test_connection_that_was_closed_meanwhile_is_replaced() -> None:
    is_closed = threading.Event()

    def close(connection: socket.socket) -> None:
        then_close(NO_CONTENT)(connection)  # type: ignore[operator]
        is_closed.set()

    # The new connection ends, too, and only then is it tried again.
    scripts: list[list[Step]] = [[NO_CONTENT, close], [then_close()], [BAD]]
    with play(*scripts) as server, connect(server) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        assert is_closed.wait(10)
        error = get_error(client)

    assert isinstance(error, InvalidRequest)
    assert server.get_connections() == [1, 1, 2, 3]


@pytest.mark.parametrize("beginning", [b"", NO_CONTENT[:10]])
def test_connection_that_ends_in_an_answer_is_tried_again(beginning: bytes) -> None:
    with play([NO_CONTENT, then_close(beginning)]) as server, connect(server) as client:
        client.post_events(BODY)
        client.post_events(BODY)

    assert server.get_connections() == [1, 1, 2]


@pytest.mark.parametrize("is_kept_open", [False, True])
def test_large_request_that_is_not_taken_is_tried_again(is_kept_open: bool) -> None:
    body = b"x" * 16_000_000
    kept: list[socket.socket] = []
    got = 0

    def talk(connection: socket.socket) -> None:
        nonlocal got
        if not kept:
            kept.append(connection.dup())
            read_request(connection)
            connection.sendall(NO_CONTENT)
            connection.recv(1000)
            if not is_kept_open:
                kept[0].close()  # with the rest unread: the connection is reset
        else:
            while got < len(body):
                got += len(connection.recv(1_000_000))
            connection.sendall(NO_CONTENT)

    with serve(talk) as url, closing(TopsortClient(url, KEY, (0.5, 5.0))) as client:
        client.post_events(BODY)
        client.post_events(body)

    kept[0].close()
    assert got > len(body)


def test_answer_to_half_a_request_counts() -> None:
    answered = 0

    def talk(connection: socket.socket) -> None:
        nonlocal answered
        read_request(connection)
        connection.sendall(NO_CONTENT)
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        answered += 1  # and closes it, with the rest unread

    with serve(talk) as url, closing(TopsortClient(url, KEY, (2.0, 5.0))) as client:
        client.post_events(BODY)
        error = get_error(client, b"x" * 16_000_000)

    assert isinstance(error, PayloadTooLarge)
    assert answered == 1


# Time and size


def hang(connection: socket.socket) -> None:
    wait_for_end(connection)


def hang_in_the_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 204 No")
    wait_for_end(connection)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 204 No")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def send_a_huge_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-Filling: %b\r\n" % (b"x" * 60_000) * 20)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(hang_in_the_head, id="hangs in the head"),
        pytest.param(drip, id="drips"),
        pytest.param(then_close(), id="closes"),
        pytest.param(then_close(NO_CONTENT[:10]), id="closes in the head"),
        pytest.param(b"220 mail.example.com ESMTP\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Name: %b\r\n\r\n" % (b"x" * 70_000), id="long line"),
        pytest.param(send_a_huge_head, id="huge head"),
        pytest.param(b"HTTP/1.1 204 No\r\n" + b"X: 1\r\n" * 200 + b"\r\n", id="many headers"),
    ],
)
def test_no_answer_is_called_the_same_as_on_a_new_connection(step: Step) -> None:
    # Once on the kept connection, which may be tried again, and then on one or two new ones.
    with play([NO_CONTENT, step], [step], [step]) as server, connect(server, (0.3, 0.3)) as client:
        client.post_events(BODY)
        started = time.monotonic()
        warm = get_error(client)
        took = time.monotonic() - started
        cold = get_error(client)

    assert type(warm) is type(cold) is NoAnswer
    assert (warm.message, warm.may_be_stale) == (cold.message, cold.may_be_stale)
    assert took < 3
    assert server.get_connections() == ([1, 1, 2, 3] if warm.may_be_stale else [1, 1, 2])


def test_body_that_does_not_come_is_not_waited_for() -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\nx")
        wait_for_end(connection)

    with play([NO_CONTENT, send]) as server, connect(server, (0.3, 0.3)) as client:
        client.post_events(BODY)
        started = time.monotonic()
        error = get_error(client)
        took = time.monotonic() - started
        client.post_events(BODY)

    assert isinstance(error, ServerUnavailable)
    assert took < 3
    assert server.get_connections() == [1, 1, 2]


def test_limit_is_kept() -> None:
    with play([NO_CONTENT, hang]) as server, connect(server) as client:
        client.post_events(BODY)
        started = time.monotonic()
        error = get_error(client, limit=0.2)

    assert isinstance(error, NoAnswer)
    assert not error.may_be_stale
    assert time.monotonic() - started < 2


# Signals, which come in the midst of it


@contextmanager
def handle(handler: Callable[[int, FrameType | None], None]) -> Iterator[Callable[[], None]]:
    """Yield what sends this process a signal that has ``handler`` run, and waits until it has."""

    def send() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        handled.wait(10)

    def run(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        finally:
            handled.set()

    handled = threading.Event()
    before = signal.signal(signal.SIGUSR1, run)
    yield send
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("answer", [NO_CONTENT, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("closes", [False, True])
def test_handler_of_a_signal_may_post_and_close_too(answer: bytes, closes: bool) -> None:
    clients: list[TopsortClient] = []
    bodies: list[bytes] = []

    def post(number: int, frame: FrameType | None) -> None:
        clients[0].post_events(b"from the handler")
        if closes:
            clients[0].close()

    def finish(connection: socket.socket, send: Callable[[], None]) -> None:
        with connection:
            send()
            connection.sendall(answer)

    with handle(post) as send:

        def talk(connection: socket.socket) -> None:
            while request := read_request(connection):
                bodies.append(request.partition(b"\r\n\r\n")[2])
                if len(bodies) == 2:  # goes on, while the handler's connection is served
                    threads.append(threading.Thread(target=finish, args=(connection.dup(), send)))
                    threads[0].start()
                    return
                connection.sendall(NO_CONTENT)

        threads: list[threading.Thread] = []
        with serve(talk) as url, closing(TopsortClient(url, KEY)) as client:
            clients.append(client)
            for body in (b"1", b"2", b"3"):
                client.post_events(body)
            threads[0].join(10)

    # What had been begun when the handler posted is not taken up by another connection's answer.
    assert [body for body in bodies if body != b"2"] == [b"1", b"from the handler", b"3"]


def test_handler_that_posts_before_an_answer_is_read_on_does_not_get_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A signal comes at any time. Here: when the odd answer is about to be handed over.
    urlopen = HTTPConnectionPool.urlopen
    bodies = [b"from the handler"]

    def handle_first(self: Any, *args: Any, **options: Any) -> Any:
        if options["body"] == b"2" and bodies:
            client.post_events(bodies.pop())
        return urlopen(self, *args, **options)

    with play([NO_CONTENT, BAD], [NO_CONTENT, BAD]) as server, connect(server) as client:
        client.post_events(b"1")
        monkeypatch.setattr(HTTPConnectionPool, "urlopen", handle_first)
        error = get_error(client, b"2")

    assert isinstance(error, InvalidRequest)
    assert [(number, request.partition(b"\r\n\r\n")[2]) for number, request in server.requests] == [
        (1, b"1"),
        (1, b"2"),
        (2, b"from the handler"),
        (2, b"2"),
    ]


def test_exception_from_a_signal_leaves_no_half_read_connection_and_no_key() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with handle(interrupt) as send:

        def answer(connection: socket.socket) -> None:
            send()
            connection.sendall(NO_CONTENT)

        with play([NO_CONTENT, answer, BAD]) as server, connect(server) as client:
            client.post_events(BODY)
            with pytest.raises(KeyboardInterrupt) as raised:
                client.post_events(BODY)
            client.post_events(BODY)

    assert server.get_connections() == [1, 1, 2]
    frames = [
        (frame.f_code.co_filename, repr(frame.f_locals))
        for frame, _ in traceback.walk_tb(raised.value.__traceback__)
    ]
    assert any(name.endswith("exchange.py") and name != __file__ for name, _ in frames)
    assert not any(KEY in values for name, values in frames if name != __file__)
