"""What the client makes of each answer that the API, or something before it, can give."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings

from django_topsort.answers import MAX_TEXT, check_answer, parse_error, parse_retry_after
from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    EndpointNotFound,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
    RedirectRefused,
    ServerUnavailable,
    UnexpectedAnswer,
)

OBJECT = b'{"errCode":"bad_request","docUrl":"https://docs/x","message":"It is bad."}'
ARRAY = b"[" + OBJECT + b',{"errCode":"other"}]'
ERROR_AND_MESSAGE = b'{"error":"bad_request","message":"It is bad."}'


def get_error(status: int, content: bytes | None = b"", **headers: str) -> ApiError:
    """Return the error that an answer stands for."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(ApiError) as raised:
        check_answer(status, given, content)
    return raised.value


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (204, b""),
        (204, b"whatever"),
        (204, None),
        (200, b""),
        (200, b" \r\n"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b'"ok"'),
        (200, b'{"errCode":null}'),
        (201, b'{"status":"ok"}'),
        (202, b""),
    ],
)
def test_success_is_204_or_a_2xx_without_an_error(status: int, content: bytes | None) -> None:
    check_answer(status, {}, content)

    assert status // 100 == 2


@pytest.mark.parametrize(
    "content",
    [
        OBJECT,
        ARRAY,
        ERROR_AND_MESSAGE,
        b'[{"status":"ok"},{"errCode":"bad_request"}]',
        b"<html>Please log in</html>",
        b"OK",
        b"{",
        b"[" * 60_000,
        b"\xff\xfe",
        None,
    ],
)
def test_2xx_with_anything_else_is_unexpected(content: bytes | None) -> None:
    error = get_error(200, content)

    assert isinstance(error, UnexpectedAnswer)
    assert error.retryable


@pytest.mark.parametrize(
    ("status", "error_class", "kind"),
    [
        (301, RedirectRefused, "configuration"),
        (302, RedirectRefused, "configuration"),
        (304, RedirectRefused, "configuration"),
        (400, InvalidRequest, "isolate"),
        (401, AuthenticationFailed, "configuration"),
        (402, InvalidRequest, "isolate"),
        (403, AuthenticationFailed, "configuration"),
        (404, EndpointNotFound, "configuration"),
        (405, EndpointNotFound, "configuration"),
        (408, ServerUnavailable, "retryable"),
        (410, EndpointNotFound, "configuration"),
        (413, PayloadTooLarge, "isolate"),
        (415, InvalidRequest, "isolate"),
        (422, InvalidRequest, "isolate"),
        (425, ServerUnavailable, "retryable"),
        (429, RateLimited, "retryable"),
        (500, ServerUnavailable, "retryable"),
        (502, ServerUnavailable, "retryable"),
        (503, ServerUnavailable, "retryable"),
        (504, ServerUnavailable, "retryable"),
        (507, ServerUnavailable, "retryable"),
        (530, ServerUnavailable, "retryable"),
        (999, ServerUnavailable, "retryable"),
        (199, UnexpectedAnswer, "retryable"),
    ],
)
def test_status_decides_what_can_help(status: int, error_class: type[ApiError], kind: str) -> None:
    error = get_error(status, b"<html>")

    assert type(error) is error_class
    assert error.status == status
    assert [name for name in ("retryable", "isolate", "configuration") if getattr(error, name)] == [
        kind
    ]


@pytest.mark.parametrize("status", [400, 401, 422, 429, 503])
@pytest.mark.parametrize("content", [OBJECT, ARRAY, ERROR_AND_MESSAGE])
def test_error_says_what_the_body_says(status: int, content: bytes) -> None:
    error = get_error(status, content)

    assert error.err_code == "bad_request"
    assert error.message == "It is bad."
    assert error.doc_url == ("" if content is ERROR_AND_MESSAGE else "https://docs/x")


@pytest.mark.parametrize(
    "content",
    [
        b'[{"errCode":"bad_request","message":"It is bad."},{"errCode":"b","message":"Worse."}]',
        b'[null,"x",{"message":"It is bad."},{"errCode":"bad_request"}]',
    ],
)
def test_several_errors_say_what_the_first_of_them_does(content: bytes) -> None:
    error = get_error(400, content)

    assert (error.err_code, error.message) == ("bad_request", "It is bad.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"upstream connect error", "upstream connect error"),
        (b"  no\r\nsuch\x1b[31m key\xff ", "nosuch[31m key\N{REPLACEMENT CHARACTER}"),
        (b"\n<!DOCTYPE html><p>x", ""),
        (b"{]", "{]"),
        (None, ""),
        (b"", ""),
    ],
)
def test_error_says_what_plain_text_says(content: bytes | None, message: str) -> None:
    error = get_error(400, content)

    assert (error.message, error.err_code) == (message, "")


def test_error_keeps_the_beginning_of_a_long_text() -> None:
    error = get_error(400, b'{"errCode":"%b","message":"%b"}' % (b"c" * 10_000, b"m" * 10_000))

    assert error.err_code == "c" * MAX_TEXT
    assert error.message == "m" * MAX_TEXT


@pytest.mark.parametrize(
    "content",
    [b'{"errCode":5,"message":["x"],"docUrl":null}', b"[]", b"[[]]", b"5", b"null"],
)
def test_error_body_of_another_shape_says_nothing(content: bytes) -> None:
    assert parse_error(content) == {"message": "", "err_code": "", "doc_url": ""}


# When to try again


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("3600", 3600.0),
        ("1000000000", 1e9),
        ("2, 5", 2.0),
        ("nan, 5", 5.0),
        ("soon, 5", 5.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT, Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("", None),
        ("   ", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("soon", None),
        ("x" * 10_240, None),
        ("9" * 10_240, 1e64),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("Mon, 99 Jan 2001 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_takes_seconds_and_past_dates(value: str, seconds: float | None) -> None:
    found = parse_retry_after({"Retry-After": value})

    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_retry_after_takes_a_date(use_tz: bool, zone: str) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    value = moment.strftime("%a, %d %b %Y %H:%M:%S ") + zone
    with override_settings(USE_TZ=use_tz):
        found = parse_retry_after({"Retry-After": value})

    assert found == pytest.approx(100, abs=3)


def test_retry_after_is_preferred() -> None:
    headers = {"Retry-After": "7", "X-RateLimit-Reset": "9"}

    assert parse_retry_after(headers) == 7
    assert parse_retry_after({**headers, "Retry-After": "garbage"}) == 9


def test_rate_limit_reset_is_in_seconds_or_a_moment() -> None:
    assert parse_retry_after({"X-RateLimit-Reset": "30"}) == 30
    moment = str(time.time() + 30)
    assert parse_retry_after({"X-RateLimit-Reset": moment}) == pytest.approx(30, abs=3)
    assert parse_retry_after({"X-RateLimit-Reset": str(time.time() - 30)}) == 0
    assert parse_retry_after({}) is None


def test_error_carries_the_time_to_wait() -> None:
    assert get_error(429, Retry_After="2").retry_after == 2
    assert get_error(503, Retry_After="3").retry_after == 3
    assert get_error(429).retry_after is None
    assert get_error(429, Retry_After="Mon, 01 Jan 2001 00:00:00 GMT").retry_after == 0
