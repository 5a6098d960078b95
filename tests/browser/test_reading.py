"""From bodies to what they say."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from django.test import override_settings

from django_topsort.browser.reading import Unreadable, UnreadableBody, is_deep, read_body
from django_topsort.browser.shapes import SentImpression
from tests.browser.sending import build_impression, encode


def refuse(body: bytes) -> tuple[int, str]:
    with pytest.raises(UnreadableBody) as caught:
        read_body(body)
    return caught.value.status, caught.value.err_code


@pytest.mark.parametrize("body", [b"{}", b'{"clicks": []}', b'{"clicks": null, "pageviews": []}'])
def test_body_without_events_is_an_empty_request(body: bytes) -> None:
    assert refuse(body) == (400, "empty_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"clicks": [}',
        b'{"clicks": NaN}',
        b'{"clicks": "\xff"}',
        b"clicks=1",
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"clicks":' * 500 + b"1" + b"}" * 500,
    ],
)
def test_body_that_is_no_json_or_too_deep_is_refused(body: bytes) -> None:
    assert refuse(body) == (400, "invalid_json")


@pytest.mark.parametrize(
    "body", [b"[]", b"3", b'"clicks"', b"null", b'{"events": []}', b'{"a": 1}']
)
def test_body_that_is_no_object_with_a_known_key_is_refused(body: bytes) -> None:
    assert refuse(body) == (400, "bad_request")


def test_body_with_more_than_a_thousand_events_is_refused() -> None:
    assert len(read_body(encode(clicks=[{}] * 1000))["clicks"]) == 1000
    assert refuse(encode(clicks=[{}] * 1001)) == (413, "bad_request")
    assert refuse(encode(clicks=[3] * 1001)) == (413, "bad_request")
    assert refuse(encode(clicks=[{}] * 600, impressions=[3] * 600)) == (413, "bad_request")


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b'{"a": [[], {}, [{"b": []}]]}', False),
        (b"[" * 16 + b"]" * 16, False),
        (b"[" * 33 + b"]" * 33, True),
        (b'{"a":' * 33 + b"1" + b"}" * 33, True),
        (b'{"a": "' + b"[" * 100 + b'"}', False),
        (b'{"a": "\\"' + b"[" * 100 + b'"}', False),
        (b'{"a": "\\\\"' + b"[" * 100 + b"]" * 100 + b"}", True),
        (b"[}", True),
        (b'"[[[', False),
        (b'["\\"[', True),
        (b'"\\', False),
    ],
)
def test_depth_is_that_outside_of_texts(body: bytes, deep: bool) -> None:
    assert is_deep(body) is deep


@pytest.mark.parametrize(
    ("start", "again", "end"),
    [
        (b'"', b'\\"', b""),
        (b'"', b"\\", b""),
        (b'"', b"a", b""),
        (b'"', b'a\\"', b"\\"),
        (b"", b'"', b""),
        (b"", b'"\\', b""),
        (b"", b'""\\"', b'"'),
        (b"", b"[", b""),
        (b"", b"[{", b""),
        (b"", b'{"":', b"1"),
        (b'{"clicks":[{"id":"', b"\\u0041", b""),
        (b'{"clicks":[', b"-", b"]}"),
        (b'{"clicks":[', b"9", b"]}"),
        (b'{"clicks":[0.', b"9", b"]}"),
        (b'{"clicks":', b" ", b"[3]}"),
        (b'{"clicks":[{"placement":{"position":"', b" ", b'"}}]}'),
        (b'{"clicks":[{"placement":{"path":"', b"a", b'?"}}]}'),
        (b'{"purchases":[{"items":[{"price":"', b"1", b'x"}]}]}'),
    ],
)
def test_body_of_a_mebibyte_is_read_in_no_time(start: bytes, again: bytes, end: bytes) -> None:
    body = start + again * (2**20 // len(again)) + end
    before = time.process_time()
    is_deep(body)
    with suppress(UnreadableBody):
        read_body(body)

    assert time.process_time() - before < 1


def test_half_an_emoji_costs_its_own_event_alone() -> None:
    for placement in ({"path": "/", "searchQuery": "boots \ud83d"}, "boots \ud83d"):
        broken = build_impression(placement=placement)
        first, second = read_body(encode(impressions=[broken, build_impression()]))["impressions"]

        assert isinstance(first, Unreadable)
        assert isinstance(second, SentImpression)


def test_numbers_that_nobody_can_hold_cost_their_own_event_alone() -> None:
    numbers = [b"1" * 5000, b"1e99999999999999999999", b"-1e400"]
    numbers += [b"1e9999999", b"-1e9999999", b"1E+1000000", b"1e-9999999"]
    for number in numbers:
        body = b'{"impressions": [{"placement": {"path": "/", "position": %s}}, %s]}'
        good = encode(x=build_impression())[6:-1]
        first, second = read_body(body % (number, good))["impressions"]

        assert isinstance(first, Unreadable)
        assert isinstance(second, SentImpression)


def test_byte_order_mark_is_read_over() -> None:
    body = b"\xef\xbb\xbf" + encode(impressions=[build_impression()])

    assert isinstance(read_body(body)["impressions"][0], SentImpression)


def test_unknown_keys_are_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "django_topsort")
    event = build_impression(secret="mine", placement={"path": "/", "slot": 7})
    for _ in range(3):
        (sent,) = read_body(encode(impressions=[event], session="mine"))["impressions"]
        assert isinstance(sent, SentImpression)

    lines = [line.getMessage() for line in caplog.records]
    assert lines == ["unknown keys left out of body,impressions,placement"]


@override_settings(TOPSORT_STRICT=True)
def test_unknown_keys_are_named_while_strict(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "django_topsort")
    event = build_impression(placement={"path": "/", "slot": 7, "a\n" + "x" * 99: 1})
    read_body(encode(impressions=[event, event]))
    read_body(encode(impressions=[dict.fromkeys("abcdefg")], session="mine"))

    lines = [line.getMessage() for line in caplog.records]
    assert lines == [
        "unknown keys left out of placement: 'slot', 'a\\n" + "x" * 36,
        "unknown keys left out of body,impressions: 'session', 'a', 'b', 'c', 'd'",
    ]
