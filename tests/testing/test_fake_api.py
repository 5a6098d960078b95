"""What FakeApi takes, refuses and remembers."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from decimal import Decimal
from typing import Any

import pytest
import requests

from django_topsort.testing import FakeApi, ReceivedRequest
from tests.testing.wire_format import (
    build_click,
    build_connection,
    build_impression,
    build_pageview,
    build_purchase,
    post,
)

Connection = http.client.HTTPConnection


def test_request_with_all_kinds_is_taken_and_remembered(
    api: FakeApi, connection: Connection
) -> None:
    answer = post(
        connection,
        {
            "purchases": [build_purchase()],
            "impressions": [build_impression()],
            "clicks": [build_click()],
            "pageviews": [build_pageview()],
        },
    )

    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Length" not in answer.headers
    assert [event.kind for event in api.events] == [
        "impressions",
        "clicks",
        "purchases",
        "pageviews",
    ]
    assert api.impressions == [build_impression()]
    assert api.clicks == [build_click()]
    assert api.pageviews == [build_pageview()]
    assert [purchase["id"] for purchase in api.purchases] == ["purchase-1"]
    (request,) = api.requests
    assert request.verdict == "1 impression, 1 click, 1 purchase, 1 page view"
    assert request.taken == {"impressions": 1, "clicks": 1, "purchases": 1, "pageviews": 1}
    assert str(request) == f"POST /v2/events 204 {request.verdict}"


@pytest.mark.parametrize("price", ["12.95", "12.50", "0.01", "7", "1e2", "19.999"])
def test_prices_keep_their_digits(api: FakeApi, connection: Connection, price: str) -> None:
    body = json.dumps({"purchases": [build_purchase()]}).replace("12.95", price)

    assert post(connection, body.encode()).status == 204
    assert api.purchases[0]["items"][0]["unitPrice"] == Decimal(price)
    if "." in price:
        assert str(api.purchases[0]["items"][0]["unitPrice"]) == price


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/events/", 404),
        ("/v2/events?x=1", 404),
        ("/v2/event", 404),
        ("/v2/events/beta/link-users/", 404),
        ("/V2/events", 404),
        ("/index.html", 404),
    ],
)
def test_other_paths_are_not_found(
    api: FakeApi, connection: Connection, path: str, status: int
) -> None:
    answer = post(connection, {"impressions": [build_impression()]}, path=path)

    assert answer.status == status
    assert answer.error["errCode"] == "bad_request"
    assert (api.requests[0].path, api.requests[0].status, api.events) == (path, status, [])


LINKS = "/v2/events/beta/link-users"


def test_link_of_two_users_is_taken_and_remembered(api: FakeApi, connection: Connection) -> None:
    link = {"from": "g", "to": "c" * 64}

    answer = post(connection, link, path=LINKS)

    assert (answer.status, answer.body) == (204, b"")
    assert api.links == [link]
    assert (api.events, api.requests[0].verdict) == ([], "1 link of users")
    api.clear()
    assert api.links == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"from": "a", "to": "a"}, "must differ"),
        ({"from": "", "to": "b"}, "1 to 64"),
        ({"from": "a", "to": "b" * 65}, "1 to 64"),
        ({"from": 1, "to": "b"}, "texts"),
        ({"from": None, "to": "b"}, "texts"),
        ({"from": "a"}, "'from' and 'to'"),
        ({"from": "a", "to": "b", "user": "c"}, "nothing else"),
        ([{"from": "a", "to": "b"}], "an object"),
        (b"from=a&to=b", "not JSON"),
        (b'{"from":"a","from":"b","to":"c"}', "twice"),
    ],
)
def test_link_that_is_not_right_is_refused(
    api: FakeApi, connection: Connection, body: object, said: str
) -> None:
    answer = post(connection, body, path=LINKS)

    assert answer.status == 400
    assert said in answer.error["message"]
    assert api.links == []


def test_link_needs_a_key_and_the_right_method(api: FakeApi, connection: Connection) -> None:
    link = {"from": "a", "to": "b"}

    assert post(connection, link, path=LINKS, headers={"Authorization": ""}).status == 401
    assert post(connection, link, path=LINKS, method="PUT").status == 405
    assert api.links == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
def test_other_methods_are_not_allowed(api: FakeApi, connection: Connection, method: str) -> None:
    answer = post(connection, {"impressions": [build_impression()]}, method=method)

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.error["message"] == f"{method} is not allowed, only POST"
    assert (api.requests[0].method, api.events) == (method, [])


def test_head_is_answered_without_a_body(api: FakeApi, connection: Connection) -> None:
    refused = post(connection, b"", method="HEAD")
    missed = post(connection, b"", method="HEAD", path="/")

    assert (refused.status, refused.body) == (405, b"")
    assert (missed.status, missed.body) == (404, b"")
    assert {request.connection for request in api.requests} == {1}


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer TSA_key", "Basic TSE_key", "TSE_key", "Bearer TSE_a b"],
)
def test_request_without_a_marketplace_key_is_unauthorized(
    api: FakeApi, connection: Connection, authorization: str
) -> None:
    body = {"impressions": [build_impression()]}

    answer = post(connection, body, headers={"Authorization": authorization})

    assert answer.status == 401
    assert answer.error["errCode"] == "invalid_api_key"
    assert answer.error["docUrl"].startswith("https://")
    assert api.events == []


def test_only_the_given_key_is_let_in() -> None:
    body = {"impressions": [build_impression()]}
    with FakeApi(api_key="TSE_mine") as api:
        connection = build_connection(api)
        statuses = [
            post(connection, body, headers={"Authorization": header}).status
            for header in ("Bearer TSE_mine", "bearer TSE_mine", "Bearer TSE_other")
        ]
        connection.close()

    assert statuses == [204, 204, 401]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_other_content_is_not_supported(
    api: FakeApi, connection: Connection, headers: dict[str, str]
) -> None:
    answer = post(connection, {"impressions": [build_impression()]}, headers=headers)

    assert answer.status == 415
    assert api.events == []


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [("application/json; charset=utf-8", ""), ("Application/JSON", "identity")],
)
def test_json_may_be_announced_in_other_words(
    api: FakeApi, connection: Connection, content_type: str, encoding: str
) -> None:
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}

    assert post(connection, {"clicks": [build_click()]}, headers=headers).status == 204


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'{"clicks": []} {}', "Extra data"),
        (b'{"clicks": [], "clicks": []}', "the key 'clicks' stands in one object twice"),
        (b'{"clicks": [{"id": "1", "id": "2"}]}', "the key 'id' stands in one object twice"),
        (b'{"clicks": [NaN]}', "NaN is no number"),
        (b'{"clicks": [-Infinity]}', "-Infinity is no number"),
        (b'\xef\xbb\xbf{"clicks": []}', "BOM"),
        ('{"clicks": []}'.encode("utf-16"), "codec can't decode"),
        (b'{"clicks": ["\xff"]}', "codec can't decode"),
        (b"[" * 100_000, "recursion"),
        (b'{"clicks": [' + b"9" * 5000 + b"]}", "limit"),
    ],
)
def test_body_that_is_no_strict_json_is_refused(
    api: FakeApi, connection: Connection, body: bytes, reason: str
) -> None:
    answer = post(connection, body)

    assert (answer.status, answer.error["errCode"]) == (400, "bad_request")
    assert answer.error["message"].startswith("the body is not JSON: ")
    assert reason in answer.error["message"]


def test_body_that_is_too_large_is_refused_and_the_connection_lives_on() -> None:
    with FakeApi(max_body_size=500) as api:
        connection = build_connection(api)
        large = post(connection, {"clicks": [build_click(id="x" * 500)]})
        small = post(connection, {"clicks": [build_click()]})
        connection.close()

        assert (large.status, small.status) == (413, 204)
        assert large.error["message"].endswith("at most 500 are taken")
        assert [request.connection for request in api.requests] == [1, 1]


@pytest.mark.parametrize(
    "header", ["Transfer-Encoding: chunked", "Content-Length: -1", "Content-Length: five"]
)
def test_body_of_unknown_length_is_refused(api: FakeApi, header: str) -> None:
    status, rest = send_raw(api, f"POST /v2/events HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n")

    assert status == 411
    assert b"Connection: close" in rest


@pytest.mark.parametrize("announced", [100, 10_000_000])
def test_body_that_ends_early_is_no_request_to_take(api: FakeApi, announced: int) -> None:
    head = f"POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n"

    status, _ = send_raw(api, head + '{"clicks": [')

    assert status == (400 if announced == 100 else 413)
    assert (api.requests[0].status, api.events) == (status, [])


def test_request_that_is_not_understood_is_refused_quietly(
    api: FakeApi, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG", "django_topsort")

    status, _ = send_raw(api, "BREW /v2/events HTTP/1.1\r\n\r\n")

    assert status == 501
    assert "Unsupported method" in caplog.text
    assert capsys.readouterr() == ("", "")
    assert api.requests == []


def send_raw(api: FakeApi, text: str) -> tuple[int, bytes]:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(text.encode())
        raw.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    return int(answer.split()[1]), answer


def test_connection_is_kept_alive_and_numbered(api: FakeApi) -> None:
    with requests.Session() as session:
        for number in range(3):
            answer = session.post(
                f"{api.url}/v2/events",
                json={"clicks": [build_click(id=str(number))]},
                headers={"Authorization": "Bearer TSE_tests"},
                timeout=10,
            )
            assert (answer.status_code, answer.content) == (204, b"")
    connection = build_connection(api)
    post(connection, {"clicks": [build_click()]})
    connection.close()

    assert [(request.connection, request.nth) for request in api.requests] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
    ]
    assert api.requests[0].headers["authorization"] == "Bearer TSE_tests"
    assert json.loads(api.requests[0].body)["clicks"][0]["id"] == "0"


def test_event_that_comes_again_is_accepted_but_not_recorded_twice(
    api: FakeApi, connection: Connection
) -> None:
    first, same = build_click(id="7"), build_click(id="7")
    other_kind = build_impression(id="7")
    later = build_click(id="7", occurredAt="2026-03-01T12:31:00+01:00")

    post(connection, {"clicks": [first, same]})
    again = post(connection, {"clicks": [same], "impressions": [other_kind]})
    assert api.altered == []
    post(connection, {"clicks": [later]})

    assert again.status == 204
    assert api.events == [first, other_kind]
    assert (api.repeated, api.altered) == (["7", "7", "7"], ["7"])
    assert api.requests[1].verdict == "1 impression, 1 click (1 again)"
    assert api.requests[1].taken == {"impressions": 1}


def test_memory_is_bounded_but_counts_go_on() -> None:
    with FakeApi(keep=3) as api:
        connection = build_connection(api)
        for number in range(40):
            assert post(connection, {"clicks": [build_click(id=str(number))]}).status == 204
        assert post(connection, {"clicks": [build_click(id="0")]}).status == 204
        connection.close()

        # An id is known for ten times as long as the event; this one is forgotten.
        assert [event["id"] for event in api.wait_for(41, "clicks")] == ["38", "39", "0"]
        assert len(api.requests) == 3
        assert api.repeated == []


def test_bodies_are_kept_up_to_a_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_topsort.testing.ledger.KEEP_BYTES", 1000)
    with FakeApi() as api:
        connection = build_connection(api)
        for number in range(20):
            post(connection, {"clicks": [build_click(id=str(number))]})
        post(connection, {"clicks": [build_click(id="x" * 2000)]})
        connection.close()

        assert len(api.clicks) == 21
        assert [len(request.body) > 1000 for request in api.requests] == [True]


def test_clear_forgets_what_was_received(api: FakeApi, connection: Connection) -> None:
    post(connection, {"clicks": [build_click(), build_click()]})

    api.clear()

    assert (api.events, api.requests, api.repeated, api.altered) == ([], [], [], [])
    post(connection, {"clicks": [build_click()]})
    assert (len(api.wait_for(1)), api.repeated) == (1, [])


def test_wait_for_returns_when_the_events_have_come(api: FakeApi) -> None:
    def send() -> None:
        connection = build_connection(api)
        post(connection, {"impressions": [build_impression(), build_impression(id="2")]})
        post(connection, {"clicks": [build_click()]})
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()

    assert api.wait_for(1, "clicks") == [build_click()]
    assert len(api.wait_for(3)) == 3
    assert [request.status for request in api.wait_for_requests(2)] == [204, 204]
    sender.join()


def test_wait_for_says_what_came_instead(api: FakeApi, connection: Connection) -> None:
    post(connection, {"clicks": [build_click(resolvedBidId=None)]})
    api.answer(503, times=4)

    with pytest.raises(AssertionError) as info:
        api.wait_for(2, "clicks", timeout=0.01)

    message = str(info.value)
    assert message.startswith("2 clicks expected within 0.01 s, 0 events in 1 request came:\n")
    assert "POST /v2/events 400 clicks[0]: " in message
    assert "in force: <ActiveFault 'answered 503 on demand': 0 of 4>" in message
    with pytest.raises(AssertionError, match=r"^1 event expected within"):
        api.wait_for(1, timeout=0.01)
    with pytest.raises(AssertionError, match=r"^2 requests expected within"):
        api.wait_for_requests(2, timeout=0.01)
    with pytest.raises(ValueError, match="kind: 'click' is not allowed, it must be one of"):
        api.wait_for(1, "click")


@pytest.mark.parametrize(
    ("kind", "expected"), [(None, "1 event"), ("clicks", "1 click"), ("pageviews", "1 page view")]
)
def test_wait_for_says_that_nothing_came(api: FakeApi, kind: str | None, expected: str) -> None:
    with pytest.raises(AssertionError) as info:
        api.wait_for(1, kind, timeout=0.01)

    assert str(info.value) == f"{expected} expected within 0.01 s, nothing came."


def test_wait_for_names_the_faults_when_nothing_came(api: FakeApi) -> None:
    api.hang()

    with pytest.raises(AssertionError, match="nothing came:\n  in force: <ActiveFault "):
        api.wait_for_requests(1, timeout=0.01)


def test_verdict_counts_each_kind(api: FakeApi, connection: Connection) -> None:
    views = [build_pageview(id=str(number)) for number in range(2)]

    post(connection, {"pageviews": views, "clicks": [build_click()]})

    assert api.requests[0].verdict == "1 click, 2 page views"


def test_on_request_hears_of_every_request() -> None:
    heard: list[ReceivedRequest] = []
    with FakeApi(on_request=heard.append) as api:
        connection = build_connection(api)
        post(connection, {"clicks": [build_click()]})
        post(connection, b"{")
        post(connection, b"", method="GET", path="/events.json")
        connection.close()

    assert [request.status for request in heard] == [204, 400]


def test_request_line_is_plain_text_whatever_was_sent(api: FakeApi, connection: Connection) -> None:
    post(connection, {"clicks": [build_click(**{"\x1b[31m\u2028ü": 1})]})

    line = str(api.requests[0])
    assert line.isascii()
    assert line.isprintable()
    assert "clicks[0]: " in line


def test_server_starts_once_and_stops_twice() -> None:
    api = FakeApi()
    with pytest.raises(RuntimeError, match="start"):
        api.url  # noqa: B018
    with pytest.raises(RuntimeError, match="does not listen"):
        api.refuse()
    api.drop_connections()
    assert api.start() is api
    with pytest.raises(RuntimeError, match="listens already"):
        api.start()
    connection = build_connection(api)
    assert post(connection, {"clicks": [build_click()]}).status == 204
    api.stop()
    api.stop()
    with pytest.raises(OSError):
        post(connection, {"clicks": [build_click()]})
    connection.close()
    assert len(api.clicks) == 1
    with api:
        assert api.url.startswith("http://127.0.0.1:")


def test_port_that_is_taken_cannot_be_listened_to(api: FakeApi) -> None:
    port = int(api.url.rpartition(":")[2])
    other = FakeApi(port=port)

    with pytest.raises(OSError):
        other.start()
    other.stop()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="category_field: 'category' is not allowed"):
        FakeApi(category_field="category")


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)

    with pytest.raises(ImportError) as info:
        FakeApi()

    assert 'pip install "django-topsort[testing]"' in str(info.value)


def test_importing_the_tools_loads_nothing_that_may_be_missing() -> None:
    code = (
        "import sys, django_topsort.testing, django_topsort.testing.pytest_plugin\n"
        "print([name for name in ('django', 'jsonschema', 'requests') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_package_has_the_names_that_it_lists() -> None:
    import django_topsort.testing as tools

    assert [getattr(tools, name).__name__ for name in tools.__all__] == list(tools.__all__)
    name: Any = "FakeAPI"
    with pytest.raises(AttributeError, match="has no attribute 'FakeAPI'"):
        getattr(tools, name)
