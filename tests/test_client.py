"""The client against real sockets: what it sends, what it makes of every answer, what it hides."""

from __future__ import annotations

import gc
import http.client
import logging
import pickle
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import django_topsort
from django_topsort import client as client_module
from django_topsort.client import TopsortClient
from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    InvalidRequest,
    NoAnswer,
    RedirectRefused,
    ServerUnavailable,
    TlsFailed,
    TopsortConfigurationError,
    UnexpectedAnswer,
)
from django_topsort.exchange import READ_SIZE
from django_topsort.testing import FakeApi, Fault
from tests.scripts import run_script
from tests.sockets import read_request, serve

TESTS = Path(__file__).resolve().parent
KEY = "TSE_canary-5c1f0"
BODY = b'{"pageviews":[]}'
PAGEVIEW = (
    b'{"pageviews":[{"id":"p-%d","occurredAt":"2026-01-01T10:00:00Z","opaqueUserId":"u-1",'
    b'"page":{"type":"home","pageId":"/"}}]}'
)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        yield api


@pytest.fixture
def client(api: FakeApi) -> Iterator[TopsortClient]:
    with closing(TopsortClient(api.url, KEY, (2.0, 5.0))) as client:
        yield client


def get_error(client: TopsortClient, body: bytes = BODY, limit: float | None = None) -> ApiError:
    """Post, and return the error that must come of it."""
    with pytest.raises(ApiError) as raised:
        client.post_events(body, limit)
    return raised.value


# What goes out


def test_post_events_sends_what_the_api_asks_for(api: FakeApi, client: TopsortClient) -> None:
    client.post_events(PAGEVIEW % 1)

    (request,) = api.requests
    assert (request.method, request.path, request.status) == ("POST", "/v2/events", 204)
    assert request.body == PAGEVIEW % 1
    assert dict(request.headers) == {
        "Host": api.url.removeprefix("http://"),
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(PAGEVIEW % 1)),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive",
        "User-Agent": f"django-topsort/{django_topsort.__version__}",
    }


def test_post_events_keeps_the_connection(api: FakeApi, client: TopsortClient) -> None:
    for number in range(20):
        client.post_events(PAGEVIEW % number)

    assert [(request.connection, request.nth) for request in api.requests] == [
        (1, nth) for nth in range(1, 21)
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, b'{"errCode":"bad_request"}'), (503, b""), (429, b"x" * 5000), (200, b"<html>")],
)
def test_post_events_keeps_the_connection_after_an_error(
    api: FakeApi, client: TopsortClient, status: int, body: bytes
) -> None:
    api.answer(status, body, times=1)
    get_error(client)
    client.post_events(PAGEVIEW % 1)

    assert [request.connection for request in api.requests] == [1, 1]


def test_post_events_sends_head_and_body_at_once() -> None:
    pieces: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        pieces.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serve(talk) as url, closing(TopsortClient(url, KEY)) as client:
        client.post_events(PAGEVIEW % 1)

    assert pieces[0].endswith(b"\r\n\r\n" + PAGEVIEW % 1)


def test_post_events_takes_a_url_with_a_slash_at_its_end(api: FakeApi) -> None:
    with closing(TopsortClient(api.url + "/", KEY)) as client:
        client.post_events(PAGEVIEW % 1)

    assert api.requests[0].path == "/v2/events"


def test_post_events_uses_one_timeout_for_both(api: FakeApi) -> None:
    with closing(TopsortClient(api.url, KEY, 5)) as client:
        client.post_events(PAGEVIEW % 1)

    assert len(api.pageviews) == 1


def test_close_lets_the_client_open_another_connection(api: FakeApi, client: TopsortClient) -> None:
    client.post_events(PAGEVIEW % 1)
    client.close()
    client.post_events(PAGEVIEW % 2)

    assert [request.connection for request in api.requests] == [1, 2]


# Settings that cannot be used


@pytest.mark.parametrize("key", ["", "TSE_a b", "TSE_a\n", "TSE_ä"])
def test_client_refuses_a_key_that_is_none(key: str) -> None:
    with pytest.raises(TopsortConfigurationError, match="TOPSORT_API_KEY") as raised:
        TopsortClient("https://api.topsort.com", key)

    assert not key or key not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "api.topsort.com", "ftp://api.topsort.com", "https://", "https://user:pw@host"]
)
def test_client_refuses_a_url_that_is_none(url: str) -> None:
    with pytest.raises(TopsortConfigurationError, match="TOPSORT_API_URL"):
        TopsortClient(url, KEY)


# The connection


def test_connection_that_the_server_closed_meanwhile_is_replaced(
    api: FakeApi, client: TopsortClient
) -> None:
    client.post_events(PAGEVIEW % 1)
    api.drop_connections()
    client.post_events(PAGEVIEW % 2)

    assert len(api.pageviews) == 2


@pytest.mark.parametrize("fault", ["reset", "close_without_answer"])
def test_connection_that_ends_while_it_is_used_is_tried_again_at_once(
    api: FakeApi, client: TopsortClient, fault: str
) -> None:
    client.post_events(PAGEVIEW % 1)
    getattr(api, fault)(times=1)
    client.post_events(PAGEVIEW % 2)

    assert [(request.connection, request.status) for request in api.requests] == [
        (1, 204),
        (1, None),
        (2, 204),
    ]


def test_fresh_connection_that_ends_is_an_error(api: FakeApi, client: TopsortClient) -> None:
    api.reset(times=1)

    assert isinstance(get_error(client), NoAnswer)
    assert len(api.requests) == 1


def test_connection_that_ends_twice_is_an_error(api: FakeApi, client: TopsortClient) -> None:
    client.post_events(PAGEVIEW % 1)
    api.reset(times=2)

    assert isinstance(get_error(client), NoAnswer)
    assert len(api.requests) == 3
    client.post_events(PAGEVIEW % 2)


def test_idle_connection_is_dropped(
    api: FakeApi, client: TopsortClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post_events(PAGEVIEW % 1)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + client_module.MAX_IDLE + 1)
    client.post_events(PAGEVIEW % 2)

    assert [request.connection for request in api.requests] == [1, 2]


def test_refused_connection_is_no_answer(api: FakeApi, client: TopsortClient) -> None:
    with api.refuse():
        error = get_error(client)

    assert isinstance(error, NoAnswer)
    assert error.retryable
    assert error.status is None
    assert "NewConnectionError" in error.message


def test_unknown_host_is_no_answer() -> None:
    with closing(TopsortClient("http://nonexistent.invalid", KEY)) as client:
        error = get_error(client)

    assert isinstance(error, NoAnswer)
    assert error.message.startswith("ConnectionError < ")


def test_answer_that_is_no_http_is_no_answer() -> None:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"220 mail.example.com ESMTP\r\n")

    with serve(talk) as url, closing(TopsortClient(url, KEY)) as client:
        assert isinstance(get_error(client), NoAnswer)


# Time


def test_name_that_is_looked_up_for_longer_than_all_else_may_take_is_no_failure(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def look_up_slowly(*args: Any, **options: Any) -> Any:
        time.sleep(2.5)
        return look_up(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    with closing(TopsortClient(api.url, KEY, 1.0)) as client:
        client.post_events(PAGEVIEW % 1)

    assert len(api.pageviews) == len(api.requests) == 1


def test_hanging_server_is_no_answer_after_the_timeout(api: FakeApi) -> None:
    with api.hang(), closing(TopsortClient(api.url, KEY, (2.0, 0.2))) as client:
        started = time.monotonic()
        error = get_error(client)

    assert isinstance(error, NoAnswer)
    assert "ReadTimeout" in error.message
    assert not error.may_be_stale
    assert time.monotonic() - started < 2


def test_connection_that_is_not_accepted_is_no_answer_after_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        closing(
            TopsortClient(f"http://127.0.0.1:{server.getsockname()[1]}", KEY, (0.3, 5.0))
        ) as client,
    ):
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        started = time.monotonic()
        error = get_error(client)
        for filler in fillers:
            filler.close()

    assert isinstance(error, NoAnswer)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("drip_from", ["head", "body"])
def test_slow_drip_cannot_stretch_the_time(drip_from: str) -> None:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        if drip_from == "body":
            connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 204 No")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with serve(talk) as url, closing(TopsortClient(url, KEY, (0.4, 0.4))) as client:
        started = time.monotonic()
        error = get_error(client)
        took = time.monotonic() - started

    # What was known of the answer in time, counts.
    assert isinstance(error, ServerUnavailable if drip_from == "body" else NoAnswer)
    assert took < 5


def test_limit_shortens_the_timeouts(api: FakeApi, client: TopsortClient) -> None:
    with api.hang():
        started = time.monotonic()
        error = get_error(client, limit=0.2)

    assert isinstance(error, NoAnswer)
    assert time.monotonic() - started < 2


def test_answer_that_comes_after_the_limit_is_none(api: FakeApi, client: TopsortClient) -> None:
    client.post_events(PAGEVIEW % 1)

    assert isinstance(get_error(client, PAGEVIEW % 2, limit=1e-9), NoAnswer)
    client.post_events(PAGEVIEW % 3)


def test_connection_is_good_after_a_timeout(api: FakeApi, client: TopsortClient) -> None:
    client.post_events(PAGEVIEW % 1)
    with api.hang():
        get_error(client, limit=0.2)
    client.post_events(PAGEVIEW % 2)

    assert [event["id"] for event in api.pageviews] == ["p-1", "p-2"]


# Size


def test_huge_body_is_not_read(api: FakeApi, client: TopsortClient) -> None:
    api.huge_body(200 * 1024 * 1024, times=1)
    started = time.monotonic()

    assert isinstance(get_error(client), UnexpectedAnswer)
    assert time.monotonic() - started < 5
    client.post_events(PAGEVIEW % 1)
    assert [request.connection for request in api.requests] == [1, 2]


def test_huge_head_is_not_read(api: FakeApi, client: TopsortClient) -> None:
    api.fault(Fault(status=200, headers=[("X-Filling", "x" * 60_000)] * 20), times=1)
    error = get_error(client)

    assert isinstance(error, NoAnswer)
    client.post_events(PAGEVIEW % 1)
    assert len(api.pageviews) == 1


def test_huge_body_of_blanks_is_no_success(api: FakeApi, client: TopsortClient) -> None:
    api.answer(200, b" " * 70_000, times=1)

    assert isinstance(get_error(client), UnexpectedAnswer)


def test_body_that_is_cut_off_is_no_success(api: FakeApi, client: TopsortClient) -> None:
    api.fault(Fault(status=200, padding=5000, cut_at=2000, end="close"), times=1)

    assert isinstance(get_error(client), UnexpectedAnswer)


# Where the key must not go


def test_redirect_is_not_followed(api: FakeApi, client: TopsortClient) -> None:
    with FakeApi() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            api.redirect(f"{elsewhere.url}/v2/events", status, times=1)
            error = get_error(client)

            assert isinstance(error, RedirectRefused)
            assert error.configuration
            assert error.status == status
        assert elsewhere.requests == []


def test_proxies_of_the_environment_are_ignored(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeApi() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with closing(TopsortClient(api.url, KEY)) as client:
            client.post_events(PAGEVIEW % 1)

        assert proxy.requests == []
    assert len(api.pageviews) == 1


def test_netrc_is_ignored(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with closing(TopsortClient(api.url, KEY)) as client:
        client.post_events(PAGEVIEW % 1)

    assert api.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def find_key(error: BaseException) -> list[str]:
    """Return where the key stands in what an error drags along."""
    found = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None:
            continue
        todo += [one.__cause__, one.__context__]
        found += [text for text in (str(one), repr(one), repr(one.args)) if KEY in text]
        found += [
            f"{frame.f_code.co_name} {name}"
            for frame, _ in traceback.walk_tb(one.__traceback__)
            for name, value in frame.f_locals.items()
            if TESTS not in Path(frame.f_code.co_filename).parents and KEY in repr(value)
        ]
    return found


def show_fault(api: FakeApi, fault: str) -> None:
    match fault:
        case "reset":
            api.reset()
        case "hang":
            api.hang()
        case "echo":
            api.answer(401, b'{"errCode":"invalid_api_key","message":"no key %b"}' % KEY.encode())
        case "echo in text":
            api.answer(400, b"what is %b?" % KEY.encode())
        case "success with an error":
            api.answer(200, b'{"errCode":"%b"}' % KEY.encode())
        case _:
            api.answer(int(fault))


@pytest.mark.parametrize(
    "fault",
    [
        "400", "401", "302", "503", "200", "reset", "hang", "echo", "echo in text",
        "success with an error",
    ],
)  # fmt: skip
def test_key_stands_nowhere_in_an_error(api: FakeApi, fault: str) -> None:
    show_fault(api, fault)
    if fault == "200":
        api.clear_faults()
        api.answer(200, b"<html>")
    with closing(TopsortClient(api.url, KEY, (2.0, 0.3))) as client:
        error = get_error(client)

    assert find_key(error) == []
    assert KEY not in "".join(traceback.format_exception(error))
    assert api.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_key_stands_nowhere_in_the_error_of_a_setting() -> None:
    with pytest.raises(TopsortConfigurationError) as bad_key:
        TopsortClient("https://api.topsort.com", f"{KEY} ")
    with pytest.raises(TopsortConfigurationError) as bad_url:
        TopsortClient("nowhere", KEY)

    assert find_key(bad_key.value) == []
    assert find_key(bad_url.value) == []


def test_key_stands_in_no_repr_and_no_pickle(client: TopsortClient) -> None:
    assert KEY not in repr(client)
    assert KEY not in repr(vars(client))
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(client)


def test_key_stands_in_no_log(
    api: FakeApi,
    client: TopsortClient,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with caplog.at_level(logging.DEBUG):
        client.post_events(PAGEVIEW % 1)
        api.reset(times=2)
        get_error(client)

    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert KEY not in caplog.text
    assert KEY not in capsys.readouterr().out


# TLS

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for."""
    path = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", path, "-out", path.with_suffix(".crt"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate, for which somebody vouches."""
    bundle = str(certificate.with_suffix(".crt"))
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", bundle)
    return certificate


@contextmanager
def serve_tls(certificate: Path, talk: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def shake_hands(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            talk(secured)

    with serve(shake_hands) as url:
        yield url.replace("http:", "https:")


@needs_openssl
def test_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    got: list[ssl.SSLSocket] = []
    with serve_tls(certificate, got.append) as url, closing(TopsortClient(url, KEY)) as client:
        error = get_error(client)

    assert isinstance(error, TlsFailed)
    assert error.configuration
    assert "SSLCertVerificationError" in error.message
    assert find_key(error) == []
    assert got == []


def test_server_that_speaks_no_tls_is_refused(api: FakeApi) -> None:
    with closing(TopsortClient(api.url.replace("http:", "https:"), KEY)) as client:
        assert isinstance(get_error(client), TlsFailed)


def test_handshake_that_is_cut_off_is_no_answer() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)

    with serve(talk) as url, closing(TopsortClient(url.replace("http:", "https:"), KEY)) as client:
        error = get_error(client)

    assert isinstance(error, NoAnswer)
    assert error.retryable


def test_certificates_that_cannot_be_read_for_want_of_a_file_are_no_wrong_setting() -> None:
    # The connection takes the last file that may be open.
    result = run_script("""
        import os, resource, socket
        from django_topsort.client import TopsortClient
        from django_topsort.exceptions import ApiError
        server = socket.create_server(("127.0.0.1", 0))
        client = TopsortClient(f"https://127.0.0.1:{server.getsockname()[1]}", "TSE_key", 10.0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        fillers = []
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            os.close(fillers.pop())
        try:
            client.post_events(b"{}")
        except ApiError as error:
            print(type(error).__name__, error.message)
        for one in fillers:
            os.close(one)
        client.close()
        server.close()
        """)

    assert result.stdout == "NoAnswer SSLError < MaxRetryError < OSError\n", result.stderr


@needs_openssl
def test_trusted_certificate_is_taken_and_the_connection_kept(
    trusted: Path,
) -> None:
    requests: list[bytes] = []

    def talk(connection: ssl.SSLSocket) -> None:
        while request := read_request(connection):
            requests.append(request)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serve_tls(trusted, talk) as url, closing(TopsortClient(url, KEY)) as client:
        client.post_events(PAGEVIEW % 1)
        client.post_events(PAGEVIEW % 2)

    assert [request.endswith(PAGEVIEW % n) for n, request in enumerate(requests, 1)] == [True, True]


@needs_openssl
def test_kept_connection_with_tls_tells_answers_apart(
    trusted: Path,
) -> None:
    no_content = b"HTTP/1.1 204 No Content\r\n\r\n"
    bad = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    scripts: list[list[list[bytes]]] = [
        [[no_content], [no_content[:20], no_content[20:]], [bad], [bad[:60], bad[60:]], []],
        [[no_content], [no_content, no_content]],
        [[bad]],
    ]
    requests: list[int] = []
    is_sent = threading.Event()

    def talk(connection: ssl.SSLSocket) -> None:
        number = 4 - len(scripts)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for records in scripts.pop(0):
            assert read_request(connection)
            requests.append(number)
            for record in records:
                connection.sendall(record)
        is_sent.set()
        assert connection.recv(65536) == b""  # it closes it, where more has come than an answer

    with serve_tls(trusted, talk) as url, closing(TopsortClient(url, KEY, 2.0)) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        assert isinstance(get_error(client), InvalidRequest)
        assert isinstance(get_error(client), InvalidRequest)
        assert "ReadTimeoutError" in get_error(client).message
        is_sent.clear()
        client.post_events(BODY)
        client.post_events(BODY)
        assert is_sent.wait(10)
        assert isinstance(get_error(client), InvalidRequest)

    assert requests == [1, 1, 1, 1, 1, 2, 2, 3]


@needs_openssl
def test_what_tls_has_read_beyond_an_answer_is_not_the_next(
    trusted: Path,
) -> None:
    no_content = b"HTTP/1.1 204 No Content\r\n\r\n"
    # All of it is in one record, of which so much is read that the rest is no longer in the socket.
    head = no_content[:-2] + b"X-Padding: "
    padded = head + b"x" * (READ_SIZE - len(head) - 4) + b"\r\n\r\n"
    scripts = [[no_content, padded + no_content], [b"HTTP/1.1 400 Bad\r\n\r\n"]]

    def talk(connection: ssl.SSLSocket) -> None:
        for answer in scripts.pop(0):
            assert read_request(connection)
            connection.sendall(answer)
        connection.recv(65536)

    with serve_tls(trusted, talk) as url, closing(TopsortClient(url, KEY, 2.0)) as client:
        client.post_events(BODY)
        client.post_events(BODY)
        assert isinstance(get_error(client), InvalidRequest)

    assert scripts == []


@needs_openssl
def test_key_stands_in_no_frame_of_what_interrupts_a_request(
    trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(connection: ssl.SSLSocket) -> None:
        while read_request(connection):
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def interrupt(self: ssl.SSLSocket, data: object, flags: int = 0) -> int:
        raise KeyboardInterrupt

    with serve_tls(trusted, talk) as url, closing(TopsortClient(url, KEY)) as client:
        client.post_events(BODY)
        with monkeypatch.context() as patch:
            patch.setattr(ssl.SSLSocket, "send", interrupt)
            with pytest.raises(KeyboardInterrupt) as raised:
                client.post_events(BODY)
        client.post_events(BODY)

    assert find_key(raised.value) == []


# What is left behind


def test_client_that_is_forgotten_leaves_no_socket(api: FakeApi) -> None:
    client = TopsortClient(api.url, KEY)
    client.post_events(PAGEVIEW % 1)
    del client

    assert gc.collect() >= 0  # an unclosed socket would warn, and a warning fails the test


def test_invalid_request_says_what_topsort_says(api: FakeApi, client: TopsortClient) -> None:
    error = get_error(client, PAGEVIEW.replace(b'"id":"p-%d",', b""))

    assert isinstance(error, InvalidRequest)
    assert error.status == 400
    assert error.err_code
    assert error.message


def test_wrong_key_is_a_matter_of_configuration(api: FakeApi) -> None:
    with closing(TopsortClient(api.url, "TSE_other")) as client:
        error = get_error(client, PAGEVIEW % 1)

    assert isinstance(error, AuthenticationFailed)
    assert error.configuration


@pytest.mark.parametrize("spelling", ["TSE_ab\\/cd=KEY", "\\u0054SE_ab/cd=KEY", "TSE_ab/cd=KEY"])
def test_key_that_an_answer_quotes_is_hidden(spelling: str) -> None:
    key = "TSE_ab/cd=KEY"
    with FakeApi(api_key=key) as api:
        body = f'{{"errCode":"bad","message":"key {spelling} is wrong"}}'.encode()
        api.answer(400, body=body, times=1)
        error = get_error(TopsortClient(api.url, key))
    assert error.message == "key ******** is wrong"


def test_chunk_of_a_negative_size_is_no_crash() -> None:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx")

    with serve(talk) as url:
        assert get_error(TopsortClient(url, "TSE_key")).status == 400
