"""Who the shopper is: the hook's answer, the cookie, or a new id."""

from __future__ import annotations

import enum
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any, Literal
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from django_topsort.exceptions import InvalidEvent, InvalidToken, TopsortConfigurationError
from django_topsort.middleware import TopsortMiddleware
from django_topsort.shoppers import (
    SALT,
    Shopper,
    get_brought_id,
    get_shopper,
    has_consent,
    read_shopper,
    set_shopper_cookie,
    sign_shopper,
)
from django_topsort.tracking import track_pageview

SHOPPER_ID = "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111"
SOURCES: tuple[Literal["hook", "cookie", "header", "minted"], ...] = (
    "hook",
    "cookie",
    "header",
    "minted",
)


def build_request(cookie: str | None = None, **extra: Any) -> HttpRequest:
    """Return a request with ``cookie`` as the client wrote the whole header."""
    if cookie is not None:
        extra["HTTP_COOKIE"] = cookie.encode().decode("latin-1")  # as WSGI wants it
    return RequestFactory().get("/", **extra)


def set_cookie(request: HttpRequest, shopper: Shopper) -> str:
    """Return the Set-Cookie header's value."""
    response = HttpResponse()
    set_shopper_cookie(request, response, shopper)
    ((_, header),) = [(name, morsel.OutputString()) for name, morsel in response.cookies.items()]
    return header


def visit(request: HttpRequest) -> HttpResponse:
    """Return what the middleware makes of a page that needs the shopper."""

    def view(request: HttpRequest) -> HttpResponse:
        track_pageview(request)
        return HttpResponse("page")

    response = TopsortMiddleware(view)(request)
    assert isinstance(response, HttpResponse)
    return response


# The cookie that a client brings


@pytest.mark.parametrize(
    "value",
    [
        SHOPPER_ID,
        "x",
        "x" * 64,
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
        "AZNWjD0ce36dOU0+orShEQ==",
        "a.b_c~d:e/f-1",
    ],
)
@pytest.mark.parametrize("form", ["tsuid={}", 'tsuid="{}"', "a=1; tsuid={}; b=2"])
def test_id_in_the_cookie_is_kept(form: str, value: str) -> None:
    assert get_shopper(build_request(form.format(value))) == Shopper(value, "cookie")


@pytest.mark.parametrize(
    "cookie",
    [
        *("", "tsuid=", "tsuid", "tsuid=;", "other=x", "TSUID=x"),
        f"tsuid={'x' * 65}",
        f"tsuid={'x' * 100_000}",
        *("tsuid=<script>alert(1)</script>", "tsuid=a b", "tsuid=a%20b", "tsuid='x'", "tsuid=a,b"),
        *("tsuid=größe", "tsuid=\u0661", "tsuid=x\r\nSet-Cookie: evil=1", "tsuid=x\0"),
        *(
            r'tsuid="a\073b"',
            r'tsuid="a\"b"',
            r'tsuid="a\015\012b"',
            'tsuid="a',
            "tsuid=a@example.com",
        ),
        "tsuid={json}",
    ],
)
def test_malformed_cookie_is_replaced_and_never_echoed(cookie: str) -> None:
    shopper = get_shopper(build_request(cookie))

    assert shopper.source == "minted"
    assert UUID(shopper.opaque_user_id).version == 7
    response = visit(build_request(cookie))
    (morsel,) = response.cookies.values()
    assert UUID(morsel.value).version == 7
    assert str(response.serialize_headers()).count("Set-Cookie") <= 1


def test_last_of_several_cookies_counts() -> None:
    assert get_shopper(build_request("tsuid=a; tsuid=b")).opaque_user_id == "b"


def test_each_client_without_a_cookie_gets_an_id_of_its_own() -> None:
    assert get_shopper(build_request()) != get_shopper(build_request())


@override_settings(TOPSORT_COOKIE_NAME="shopper")
def test_cookie_may_have_another_name() -> None:
    assert get_shopper(build_request("shopper=a; tsuid=b")) == Shopper("a", "cookie")


# The hook


class Ranks(enum.IntEnum):
    THIRD = 3


class Words(str, enum.Enum):  # noqa: UP042 - its str() is "Words.ID", as in older code
    ID = "id-1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("customer-1", "customer-1"),
        ("x" * 64, "x" * 64),
        (SafeString("customer-1"), "customer-1"),
        (Words.ID, "id-1"),
        (gettext_lazy("customer-1"), "customer-1"),
        (SimpleLazyObject(lambda: "customer-1"), "customer-1"),
        (42, "42"),
        (0, "0"),
        (Ranks.THIRD, "3"),
        (UUID(SHOPPER_ID), SHOPPER_ID),
    ],
)
def test_hooks_answer_goes_before_the_cookie(value: Any, expected: str) -> None:
    with override_settings(TOPSORT_USER_ID=lambda request: value):
        shopper = get_shopper(build_request(f"tsuid={SHOPPER_ID}"))

    assert shopper == Shopper(expected, "hook")
    assert type(shopper.opaque_user_id) is str


@pytest.mark.parametrize("value", [None, "", SafeString("")])
def test_cookie_counts_where_the_hook_has_no_answer(value: Any) -> None:
    with override_settings(TOPSORT_USER_ID=lambda request: value):
        assert get_shopper(build_request(f"tsuid={SHOPPER_ID}")) == Shopper(SHOPPER_ID, "cookie")
        assert get_shopper(build_request()).source == "minted"


@pytest.mark.parametrize(
    "value",
    # False is what "is_authenticated and ..." returns: one id for all visitors, as text.
    [
        False,
        True,
        User(username="jane@example.com"),
        b"customer-1",
        1.5,
        ["a"],
        {},
        "x" * 65,
        10**64,
        SimpleLazyObject(AnonymousUser),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hooks_answer_that_is_no_id_is_refused(value: Any) -> None:
    with (
        override_settings(TOPSORT_USER_ID=lambda request: value),
        pytest.raises(InvalidEvent) as caught,
    ):
        get_shopper(build_request(f"tsuid={SHOPPER_ID}"))

    assert caught.value.field == "TOPSORT_USER_ID"
    assert caught.value.value is value
    assert "text of at most 64 characters, an int, a UUID, or None" in caught.value.rule


def get_header(request: HttpRequest) -> str | None:
    return request.headers.get("X-Customer")


@override_settings(TOPSORT_USER_ID="tests.test_shoppers.get_header")
def test_hook_may_be_a_dotted_path() -> None:
    assert get_shopper(build_request(HTTP_X_CUSTOMER="c-1")) == Shopper("c-1", "hook")


@override_settings(TOPSORT_USER_ID="tests.test_shoppers.get_nothing")
def test_hook_that_cannot_be_imported_is_an_error() -> None:
    with pytest.raises(TopsortConfigurationError, match="TOPSORT_USER_ID"):
        get_shopper(build_request())


# Consent


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(True, True), (False, False), ("yes", True), ("", False), (None, False), (0, False)],
)
def test_consent_is_what_the_hook_says(answer: Any, expected: bool) -> None:
    with override_settings(TOPSORT_CONSENT=lambda request: answer):
        assert has_consent(build_request()) is expected


def test_consent_is_given_by_default() -> None:
    assert has_consent(build_request()) is True


async def ask(request: HttpRequest) -> None:
    """Is never waited for."""


def test_consent_of_an_async_function_is_an_error_and_no_yes() -> None:
    with (
        override_settings(TOPSORT_CONSENT=ask),
        pytest.raises(TopsortConfigurationError, match="TOPSORT_CONSENT: an async function"),
    ):
        has_consent(build_request())


def test_without_consent_there_is_no_cookie() -> None:
    with override_settings(TOPSORT_CONSENT=lambda request: False):
        response = visit(build_request(f"tsuid={SHOPPER_ID}"))

    assert not response.cookies
    assert not response.has_header("Vary")


# The cookie that we set


def test_cookie_lives_a_year_on_the_whole_site() -> None:
    header = set_cookie(build_request(), Shopper(SHOPPER_ID, "minted"))
    parts = header.split("; ")

    assert parts[0] == f"tsuid={SHOPPER_ID}"
    assert {"Max-Age=31536000", "Path=/", "SameSite=Lax"} <= set(parts)
    assert not {"Secure", "HttpOnly"} & set(parts)
    assert "Domain" not in header


@pytest.mark.parametrize(
    ("setting", "secure", "expected"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_cookie_is_for_https_only_where_the_request_came_by_it(
    setting: bool | None, secure: bool, expected: bool
) -> None:
    request = RequestFactory().get("/", secure=secure)
    with override_settings(TOPSORT_COOKIE_SECURE=setting):
        parts = set_cookie(request, Shopper(SHOPPER_ID, "minted")).split("; ")

    assert ("Secure" in parts) is expected


@override_settings(
    TOPSORT_COOKIE_NAME="shopper",
    TOPSORT_COOKIE_AGE=60,
    TOPSORT_COOKIE_DOMAIN="example.com",
    TOPSORT_COOKIE_HTTPONLY=True,
    TOPSORT_COOKIE_SAMESITE="Strict",
)
def test_cookie_is_as_the_settings_say() -> None:
    parts = set_cookie(build_request(), Shopper(SHOPPER_ID, "minted")).split("; ")

    assert parts[0] == f"shopper={SHOPPER_ID}"
    assert {"Max-Age=60", "Domain=example.com", "HttpOnly", "SameSite=Strict"} <= set(parts)


@pytest.mark.parametrize("value", ["AZNWjD0ce36dOU0+orShEQ==", "a/b", "a.b_c~d:e-1", "x" * 64])
def test_cookie_goes_back_byte_for_byte(value: str) -> None:
    # Scripts of the page read it as it stands: quotes around it would make another shopper.
    header = set_cookie(build_request(), Shopper(value, "cookie"))

    assert header.split("; ")[0] == f"tsuid={value}"
    assert SimpleCookie(header)["tsuid"].value == value
    assert get_shopper(build_request(header.split("; ")[0])) == Shopper(value, "cookie")


def test_cookie_is_refreshed_and_the_page_varies_on_it() -> None:
    response = visit(build_request(f"tsuid={SHOPPER_ID}"))

    assert response.cookies["tsuid"].value == SHOPPER_ID
    assert response.cookies["tsuid"]["max-age"] == 31536000
    assert response["Vary"] == "Cookie"


def test_cookie_is_not_set_where_the_hook_says_who_it_is() -> None:
    with override_settings(TOPSORT_USER_ID=lambda request: "customer-1"):
        response = visit(build_request(f"tsuid={SHOPPER_ID}"))

    assert not response.cookies


@pytest.mark.parametrize(
    "settings", [{"TOPSORT_COOKIE_SAMESITE": "bogus"}, {"TOPSORT_COOKIE_AGE": "a year"}]
)
def test_cookie_that_cannot_be_as_the_settings_say_is_not_set(settings: dict[str, Any]) -> None:
    response = HttpResponse()

    with override_settings(**settings), pytest.raises((ValueError, TypeError)):
        set_shopper_cookie(build_request(), response, Shopper(SHOPPER_ID, "minted"))

    assert not response.cookies


# The header of clients that keep no cookies


with_header = override_settings(TOPSORT_USER_HEADER=True)


def bring(text: str, cookie: str | None = None) -> HttpRequest:
    return build_request(cookie, HTTP_X_TOPSORT_USER=text)


@with_header
@pytest.mark.parametrize("value", [SHOPPER_ID, "x", "x" * 64, "a.b_c~d:e/f-1", "AZNWjD0ce+U0=="])
def test_id_in_the_header_is_kept(value: str) -> None:
    text = sign_shopper(value)

    assert read_shopper(text) == value
    assert get_shopper(bring(text)) == Shopper(value, "header")
    assert get_brought_id(bring(text)) == value


@pytest.mark.parametrize("value", [False, None, "yes", 1])
def test_header_says_nothing_where_the_setting_does_not_hold(value: Any) -> None:
    with override_settings(TOPSORT_USER_HEADER=value):
        request = bring(sign_shopper(SHOPPER_ID))

        assert get_shopper(request).source == "minted"
        assert get_brought_id(request) is None
        assert not visit(request).has_header("X-Topsort-User")


@with_header
def test_hook_and_cookie_go_before_the_header() -> None:
    request = bring(sign_shopper(SHOPPER_ID), "tsuid=cookie-id")

    assert get_shopper(request) == Shopper("cookie-id", "cookie")
    assert get_brought_id(request) == "cookie-id"
    with override_settings(TOPSORT_USER_ID=lambda request: "customer-1"):
        assert get_shopper(request) == Shopper("customer-1", "hook")
    assert get_shopper(bring(sign_shopper(SHOPPER_ID), "tsuid=a b")).source == "header"


FORGED = [
    *("x", ":", "::", SHOPPER_ID, f"{SHOPPER_ID}:1:x", "größe", "a\r\nSet-Cookie: x=1", "\ud800"),
    "x" * 100_000,
    sign_shopper(SHOPPER_ID)[1:],
    sign_shopper(SHOPPER_ID)[:-1],
    f"{sign_shopper(SHOPPER_ID)} ",
    signing.TimestampSigner(salt="of another use").sign(SHOPPER_ID),
    signing.TimestampSigner(key="of another site", salt=SALT).sign(SHOPPER_ID),
    signing.Signer(salt=SALT).sign(SHOPPER_ID),
]


@with_header
@pytest.mark.parametrize("text", FORGED, ids=range(len(FORGED)))
def test_forged_header_counts_as_none(text: str) -> None:
    with pytest.raises(InvalidToken, match="tampered"):
        read_shopper(text)
    assert get_shopper(bring(text)).source == "minted"
    assert get_brought_id(bring(text)) is None


@with_header
@pytest.mark.parametrize(
    ("setting", "age", "is_expired"),
    [
        (31536000, 31535999, False),
        (31536000, 31536002, True),
        (60, 62, True),
        ("60", 59, False),
        (timedelta(minutes=1), 62, True),
        (timedelta(minutes=1), 59, False),
        # A cookie without an age lives as long as the browser.
        (None, 10**8, False),
    ],
)
def test_header_lives_as_long_as_a_cookie(
    setting: Any, age: int, is_expired: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    text = sign_shopper(SHOPPER_ID)
    now += age
    with override_settings(TOPSORT_COOKIE_AGE=setting):
        assert get_shopper(bring(text)).source == ("minted" if is_expired else "header")
        if is_expired:
            with pytest.raises(InvalidToken, match="expired"):
                read_shopper(text)


@with_header
@pytest.mark.parametrize("age", ["a year", [], float("inf"), float("nan")])
def test_header_counts_as_none_where_the_age_is_none(age: Any) -> None:
    with override_settings(TOPSORT_COOKIE_AGE=age):
        assert get_shopper(bring(sign_shopper(SHOPPER_ID))).source == "minted"


@pytest.mark.parametrize("value", ["", "x" * 65, "a b", "größe", "a\n"])
def test_only_what_a_cookie_could_hold_is_signed(value: str) -> None:
    with pytest.raises(InvalidEvent, match="opaque_user_id"):
        sign_shopper(value)


@with_header
def test_header_that_an_answer_gave_names_the_same_shopper() -> None:
    first = visit(build_request())
    text = first["X-Topsort-User"]

    again = visit(bring(text))

    assert first.cookies["tsuid"].value == read_shopper(text)
    assert read_shopper(again["X-Topsort-User"]) == read_shopper(text)
    assert get_shopper(bring(text)).opaque_user_id == read_shopper(text)
    for response in (first, again):
        assert response["Vary"] == "Cookie, X-Topsort-User"
        assert "private" in response["Cache-Control"]


@with_header
@pytest.mark.parametrize("text", FORGED[:3])
def test_forged_header_is_replaced(text: str) -> None:
    assert UUID(read_shopper(visit(bring(text))["X-Topsort-User"])).version == 7


@with_header
def test_client_that_brings_the_cookie_gets_no_header() -> None:
    response = visit(build_request(f"tsuid={SHOPPER_ID}"))

    assert not response.has_header("X-Topsort-User")
    assert response["Vary"] == "Cookie, X-Topsort-User"


@with_header
@pytest.mark.parametrize(
    "hooks",
    [
        {"TOPSORT_CONSENT": lambda request: False},
        {"TOPSORT_USER_ID": lambda request: "customer-1"},
        {"TOPSORT_IGNORE_REQUEST": lambda request: True},
    ],
)
def test_header_is_not_sent_where_no_shopper_was_needed(hooks: dict[str, Any]) -> None:
    with override_settings(**hooks):
        response = visit(build_request())

    assert not response.has_header("X-Topsort-User")
    assert response.get("Vary") in (None, "Cookie")  # a hook's id may depend on the session


def test_id_that_a_client_may_claim_has_another_name_in_caches_than_the_shops_own() -> None:
    names = {source: Shopper("42", source).cache_name for source in SOURCES}

    assert names["cookie"] == names["header"] == names["minted"] != names["hook"]
