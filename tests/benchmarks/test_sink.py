"""The sink of the benchmarks: it loses nothing, counts alike for all, and holds up nobody."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest

from benchmarks import ROOT
from benchmarks.bodies import read_body
from benchmarks.contestants import ALL, PEERS, load
from benchmarks.sink import Sink

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


def get_address(sink: Sink) -> tuple[str, int]:
    url = urlsplit(sink.url)
    assert url.hostname
    assert url.port
    return url.hostname, url.port


def post(
    sink: Sink, path: str, body: bytes | Iterator[bytes], headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    with closing(HTTPConnection(*get_address(sink), timeout=30)) as connection:
        connection.request("POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("name", ["topsort", "floor"])
def test_contestant_delivers_each_event_once(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks.contestants", name, "1000"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    said = json.loads(done.stdout)
    assert said["requests"] in {20, 21}  # of 50 events at most
    assert (said["lost"], said["repeated"]) == (0, 0)


@pytest.mark.parametrize("name", PEERS)
def test_peer_is_imported_by_its_start(name: str) -> None:
    assert load(name).requirement not in sys.modules


def test_bids_are_counted_alike_whatever_they_are_wrapped_in(sink: Sink) -> None:
    post(sink, "/v2/events", b'{"bid": "bid-plain"}')
    post(sink, "/v2/events", iter([b'{"bid": "bid-', b'chunked"}']))
    post(sink, "/batch/", gzip.compress(b'"bid-gzip"'), {"Content-Encoding": "gzip"})
    post(sink, "/batch/", zlib.compress(b'"bid-zlib"'), {"Content-Encoding": "deflate"})
    post(sink, "/track", urlencode({"data": '[{"bid":"bid-form"}]', "verbose": 1}).encode(), FORM)
    inner = base64.urlsafe_b64encode(b'{"bid": "bid-base64"}').rstrip(b"=")
    post(sink, "/com.snowplowanalytics.snowplow/tp2", b'{"data": [{"ue_px": "%b"}]}' % inner)
    post(sink, "/v2/events", b'{"bid": "bid-plain"}, {"bid": "bid-plain-2"}')

    taken = sink.take()

    once = dict.fromkeys(["chunked", "gzip", "zlib", "form", "base64", "plain-2"], 1)
    assert taken.bids == {f"bid-{name}": n for name, n in {"plain": 2, **once}.items()}
    assert taken.requests == sink.count() == 7


def test_unknown_encoding_is_no_silent_loss() -> None:
    with pytest.raises(ValueError, match="'br'"):
        read_body(b"post / http/1.1\r\ncontent-encoding: br", b"...")


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/v2/events", 204, b""),
        ("/track", 200, b'{"error": null, "status": 1}'),
        ("/batch/", 200, b'{"status": "Ok"}'),
        ("/v1/batch", 200, b'{"success": true}'),
        ("/com.snowplowanalytics.snowplow/tp2", 200, b"ok"),
        ("/api/1/envelope/", 200, b"{}"),
        ("/whatever", 200, b"{}"),
    ],
)
def test_services_answer_as_their_clients_expect(
    sink: Sink, path: str, status: int, body: bytes
) -> None:
    assert post(sink, path, b"{}") == (status, body)


def test_requests_come_in_pieces_and_together(sink: Sink) -> None:
    head = b"POST /v2/events HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
    chunked = b"POST /v2/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    stream = head + b"bid-1" + head + b"bid-2" + chunked + b"5\r\nbid-3\r\n0\r\n\r\n" + head
    with socket.create_connection(get_address(sink), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(stream)):
            connection.sendall(stream[at : at + 1])
        connection.sendall(b"bid-4" + stream + b"bid-5")
        got = b""
        while got.count(b"204") < 8:
            got += connection.recv(4096)

    assert sink.take().bids == {"bid-1": 2, "bid-2": 2, "bid-3": 2, "bid-4": 1, "bid-5": 1}


def test_delayed_answers_hold_up_no_other() -> None:
    delay, many = 0.3, 60
    with Sink(delay=delay) as sink, ThreadPoolExecutor(many) as pool:
        begun = time.monotonic()
        answers = list(pool.map(lambda n: post(sink, "/v2/events", b"bid-%d" % n), range(many)))
        took = time.monotonic() - begun
        taken = sink.take()

    assert answers == [(204, b"")] * many
    assert delay <= took < delay * many / 4
    assert len(taken.bids) == many
    assert begun < taken.first <= taken.last < begun + took


def test_sink_goes_down_and_comes_back_at_the_same_address() -> None:
    with Sink(delay=30) as sink, ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(get_address(sink), timeout=30))
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nbid-1")

        sink.go_down()

        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(get_address(sink))
        sink.come_back()
        stack.enter_context(socket.create_connection(get_address(sink), timeout=30))
        # What was not answered was not taken.
        assert sink.take().bids == {}


def test_what_is_counted_stays(sink: Sink) -> None:
    post(sink, "/v2/events", b"bid-1")
    sink.go_down()
    sink.come_back()
    post(sink, "/v2/events", b"bid-2")

    assert sink.count() == 2
    assert sink.take().bids == {"bid-1": 1, "bid-2": 1}
    assert sink.take().bytes == len(b"bid-1bid-2")


def test_sink_that_has_ended_says_so(sink: Sink) -> None:
    sink._process.kill()
    sink._process.wait()

    with pytest.raises(RuntimeError, match="the sink has ended"):
        sink.count()


def test_there_is_a_contestant_of_each_name() -> None:
    assert {load(name).requirement for name in ALL} >= {"django-topsort", "msgspec", "posthog"}
