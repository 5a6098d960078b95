"""The faults that FakeApi shows on demand, over real sockets."""

from __future__ import annotations

import http.client
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from django_topsort.testing import FakeApi, Fault
from tests.testing.wire_format import (
    Answer,
    build_click,
    build_connection,
    build_impression,
    post,
)

Connection = http.client.HTTPConnection

CLICK = {"clicks": [build_click()]}
NO_ANSWER = (ConnectionError, http.client.BadStatusLine)


class Background:
    """A request in a thread of its own."""

    def __init__(self, api: FakeApi, body: Any = CLICK) -> None:
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.connection = build_connection(api)
        self._body = body
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.answer = post(self.connection, self._body)
        except Exception as error:
            self.error = error

    def join(self) -> Background:
        self._thread.join(10)
        self.connection.close()
        assert not self._thread.is_alive()
        return self


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_answer_is_given_so_many_times_and_takes_nothing(
    api: FakeApi, connection: Connection
) -> None:
    fault = api.answer(429, b'{"errCode": "x"}', {"Retry-After": "2"}, times=2)

    answers = [post(connection, CLICK) for _ in range(3)]

    assert [answer.status for answer in answers] == [429, 429, 204]
    assert answers[0].body == b'{"errCode": "x"}'
    assert answers[0].headers["Retry-After"] == "2"
    assert [request.verdict for request in api.requests] == [
        "answered 429 on demand",
        "answered 429 on demand",
        "1 click",
    ]
    assert (len(api.clicks), api.repeated, fault.hits) == (1, [], 2)
    assert {request.connection for request in api.requests} == {1}


def test_answer_can_be_any_that_a_proxy_makes(api: FakeApi, connection: Connection) -> None:
    api.answer(520, b"<html>", {"Content-Type": "text/html"}, times=1)
    api.answer(503, headers=[("Retry-After", "1"), ("Retry-After", "nan")], times=1)
    api.answer(204, b"not sent", times=1)
    api.answer(200, b"{}", {"content-length": "2", "Server": "x"}, times=1)

    html, twice, empty, okay = (post(connection, CLICK) for _ in range(4))

    assert (html.status, html.headers["Content-Type"], html.body) == (520, "text/html", b"<html>")
    assert twice.headers.get_all("Retry-After") == ["1", "nan"]
    assert (empty.status, empty.body) == (204, b"")
    assert okay.headers.get_all("Content-Length") == ["2"]
    assert okay.headers.get_all("Server") == ["x"]


def test_faults_queue_up_and_end_with_their_block(api: FakeApi, connection: Connection) -> None:
    with api.answer(500):
        api.answer(501, times=1)
        assert post(connection, CLICK).status == 500
        assert post(connection, CLICK).status == 500
    assert post(connection, CLICK).status == 501
    assert post(connection, CLICK).status == 204


def test_clear_faults_ends_them_all(api: FakeApi, connection: Connection) -> None:
    api.answer(500)
    api.answer(501)

    api.clear_faults()

    assert post(connection, CLICK).status == 204


def test_faults_meet_events_only(api: FakeApi, connection: Connection) -> None:
    api.answer(500)

    assert post(connection, CLICK, path="/v2/other").status == 404
    assert post(connection, b"", method="GET", path="/").status == 200


def test_fault_meets_what_matches(api: FakeApi, connection: Connection) -> None:
    api.reset(matches=lambda request: request.nth > 1)

    assert post(connection, CLICK).status == 204
    with pytest.raises(NO_ANSWER):
        post(connection, CLICK)
    connection.close()
    assert post(connection, CLICK).status == 204


def test_redirect_names_its_target(api: FakeApi, connection: Connection) -> None:
    api.redirect("http://127.0.0.1:9/elsewhere", 302, times=1)

    answer = post(connection, CLICK)

    assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:9/elsewhere")


def test_huge_body_is_as_large_as_asked_for(api: FakeApi, connection: Connection) -> None:
    api.huge_body(1_000_000, times=1)

    answer = post(connection, CLICK)

    assert (answer.status, len(answer.body)) == (200, 1_000_000)


def test_huge_body_need_not_be_read_to_the_end(api: FakeApi, connection: Connection) -> None:
    api.huge_body(times=1)
    connection.request("POST", "/v2/events", b"{}")

    assert connection.getresponse().read(100) == b"." * 100
    connection.close()


@pytest.mark.parametrize("marker", ["poison", lambda event: event["id"] == "poison-1"])
def test_poison_refuses_the_body_that_holds_it(
    api: FakeApi, connection: Connection, marker: Any
) -> None:
    good, bad = build_click(id="good"), build_click(id="poison-1")
    with api.poison(marker, status=422, err_code="resolved_bid_id_not_found"):
        refused = post(connection, {"impressions": [build_impression()], "clicks": [good, bad]})
        taken = post(connection, {"clicks": [good]})
        broken = post(connection, b"{")

    assert (refused.status, refused.error["errCode"]) == (422, "resolved_bid_id_not_found")
    assert refused.headers["Content-Type"] == "application/json"
    assert (taken.status, broken.status) == (204, 400)
    assert api.events == [good]
    assert post(connection, {"clicks": [bad]}).status == 204


def test_delay_waits_and_then_answers_honestly(api: FakeApi, connection: Connection) -> None:
    with api.delay(0.1, times=2):
        started = time.monotonic()
        statuses = [post(connection, CLICK).status, post(connection, b"{").status]
        took = time.monotonic() - started

    assert statuses == [204, 400]
    assert took >= 0.2


def test_delay_before_another_answer(api: FakeApi, connection: Connection) -> None:
    api.answer(503, delay=0.05, times=1)
    started = time.monotonic()

    assert post(connection, CLICK).status == 503
    assert time.monotonic() - started >= 0.05


def test_hang_holds_a_request_until_it_is_released(api: FakeApi) -> None:
    with api.hang(times=1) as fault:
        held = Background(api)
        fault.wait_for_hit()
        other = Background(api, {"impressions": [build_impression()]}).join()
        assert other.answer is not None
        assert [request.status for request in api.requests] == [None, 204]
        assert api.requests[0].verdict == "not answered yet"
        assert str(api.requests[0]) == "POST /v2/events - not answered yet"
        assert api.clicks == []
    held.join()

    assert held.answer is not None
    assert (held.answer.status, len(api.clicks)) == (204, 1)


def test_hang_takes_nothing_from_a_client_that_has_left(api: FakeApi) -> None:
    fault = api.hang()
    connection = build_connection(api)
    connection.request("POST", "/v2/events", b"{}")
    fault.wait_for_hit()

    connection.close()
    wait_until(lambda: api.requests[0].verdict != "not answered yet")
    fault.release()

    assert api.requests[0].verdict == "hung: the connection ended meanwhile"
    assert (api.requests[0].status, api.events) == (None, [])


def test_clear_faults_releases_what_is_held(api: FakeApi) -> None:
    fault = api.hang(times=1)
    held = Background(api)
    fault.wait_for_hit()
    api.answer(500, times=1)  # asked for while the other, used up, still holds a request

    api.clear_faults()

    answer = held.join().answer
    assert answer is not None
    assert answer.status == 204


@pytest.mark.parametrize(
    "fault",
    [
        Fault(delay=math.inf),
        Fault(drip=60),
        Fault(cut_at=0, end="hang"),
        Fault(status=200, padding=10**9),
    ],
)
def test_stop_does_not_wait_for_faults(fault: Fault) -> None:
    with FakeApi() as api:
        active = api.fault(fault)
        raw = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])))
        raw.sendall(b"POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        active.wait_for_hit()
        started = time.monotonic()
    took = time.monotonic() - started
    raw.close()

    assert took < 2
    assert not [one for one in threading.enumerate() if one.name == "topsort-fake-api"]


def test_wait_for_hit_says_what_did_not_happen(api: FakeApi) -> None:
    fault = api.answer(500, times=3)

    with pytest.raises(AssertionError, match=r"2 requests .* 'answered 500 on demand': 0 of 3"):
        fault.wait_for_hit(2, timeout=0.01)
    assert repr(api.hang()) == "<ActiveFault 'hung': 0 of any>"


def test_drip_sends_byte_by_byte(api: FakeApi, connection: Connection) -> None:
    with api.drip(0.002):
        started = time.monotonic()
        assert post(connection, CLICK).status == 204
        took = time.monotonic() - started

    assert took >= 0.1
    assert len(api.clicks) == 1


def test_drip_goes_fast_once_released(api: FakeApi) -> None:
    with api.drip(60) as fault:
        held = Background(api)
        fault.wait_for_hit()
    held.join()

    assert held.answer is not None
    assert held.answer.status == 204


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("reset", "the connection was reset"),
        ("close_without_answer", "the connection was closed"),
    ],
)
def test_connection_ends_and_nothing_is_taken(api: FakeApi, name: str, verdict: str) -> None:
    getattr(api, name)(times=1)
    connection = build_connection(api)

    with pytest.raises(NO_ANSWER) as info:
        post(connection, CLICK)
    connection.close()

    assert (api.requests[0].status, api.requests[0].verdict) == (None, verdict)
    assert api.events == []
    is_reset = type(info.value) is ConnectionResetError
    assert is_reset is (name == "reset")


@pytest.mark.parametrize("end", ["close", "reset"])
def test_lost_answer_leaves_the_events_taken(
    api: FakeApi, connection: Connection, end: Any
) -> None:
    api.lose_answers(1, end=end)

    with pytest.raises(NO_ANSWER):
        post(connection, CLICK)
    connection.close()
    again = post(connection, CLICK)

    assert again.status == 204
    assert (len(api.clicks), api.repeated, api.altered) == (1, ["click-1"], [])
    assert api.requests[0].verdict == "the answer was lost (204 1 click)"
    assert api.requests[0].status is None


def test_lost_answer_can_hang(api: FakeApi) -> None:
    with api.lose_answers(end="hang") as fault:
        held = Background(api)
        fault.wait_for_hit()
        assert api.wait_for(1, "clicks") == [build_click()]
    held.join()

    assert isinstance(held.error, NO_ANSWER)


def test_answer_can_be_cut_in_the_middle(api: FakeApi, connection: Connection) -> None:
    api.fault(Fault(status=200, body=b"x" * 1000, cut_at=500, end="close"), times=1)

    with pytest.raises(http.client.IncompleteRead):
        post(connection, CLICK)
    assert api.requests[0].status is None


def test_whole_answer_can_be_followed_by_a_close(api: FakeApi, connection: Connection) -> None:
    api.fault(Fault(status=200, body=b"{}", end="close"), times=1)
    connection.auto_open = 0
    connection.connect()

    assert post(connection, CLICK).body == b"{}"
    assert api.requests[0].status == 200
    with pytest.raises(NO_ANSWER):
        post(connection, CLICK)


def test_refuse_refuses_connections_until_resumed(api: FakeApi, connection: Connection) -> None:
    assert post(connection, CLICK).status == 204
    address = api.url

    with api.refuse():
        assert api.url == address
        connection.close()
        with pytest.raises(ConnectionRefusedError):
            post(connection, CLICK)
        connection.close()

    assert post(connection, {"clicks": [build_click(id="2")]}).status == 204
    assert (api.url, len(api.clicks)) == (address, 2)
    api.refuse()
    api.resume()
    api.resume()
    connection.close()
    assert post(connection, {"clicks": [build_click(id="3")]}).status == 204


def test_refuse_ends_open_connections(api: FakeApi, connection: Connection) -> None:
    assert post(connection, CLICK).status == 204
    connection.auto_open = 0

    with api.refuse(), pytest.raises((*NO_ANSWER, BrokenPipeError)):
        post(connection, CLICK)


def test_server_can_be_stopped_while_it_refuses() -> None:
    api = FakeApi().start()
    api.refuse()
    with pytest.raises(RuntimeError, match="listens already"):
        api.start()

    api.stop()

    with api:
        assert api.url


def test_drop_connections_ends_idle_ones(api: FakeApi, connection: Connection) -> None:
    assert post(connection, CLICK).status == 204
    connection.auto_open = 0

    api.drop_connections()

    with pytest.raises((*NO_ANSWER, BrokenPipeError)):
        post(connection, CLICK)


def test_mistake_in_a_match_is_logged_and_ends_the_connection(
    api: FakeApi, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    api.answer(500, matches=lambda request: request.headers["x"].isdigit())

    with pytest.raises(NO_ANSWER):
        post(connection, CLICK)

    assert "a connection broke down" in caplog.text
    assert "AttributeError" in caplog.text


@pytest.mark.parametrize(
    "facts",
    [
        {"status": 100},
        {"status": 600},
        {"body": b"x"},
        {"padding": 1},
        {"headers": {"a": "b"}},
        {"cut_at": 0},
    ],
)
def test_fault_that_makes_no_sense_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"status|cut_at"):
        Fault(**facts)


def test_times_must_be_positive(api: FakeApi) -> None:
    with pytest.raises(ValueError, match="times: 0 is not allowed"):
        api.answer(500, times=0)
