"""Click tokens open to nobody else's key, and lead nowhere but where this site said."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.clicks import (
    MAX_TOKEN,
    SALT,
    ClickClaim,
    _say_no_seconds,
    claim_click,
    get_seconds,
    is_safe_target,
    read_click,
    sign_click,
)
from django_topsort.exceptions import InvalidEvent, InvalidToken

FIELDS: dict[str, Any] = {
    "resolvedBidId": "bid-1",
    "placement": {"path": "/größe/", "position": 3},
    "clickType": "product",
}
NOW = 1_800_000_000.0


class Clock:
    """The time of day, as the tests set it."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock.time)
    return clock


def refuse(token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        read_click(token)
    return caught.value.reason


# Signing and reading


def test_token_says_what_was_signed() -> None:
    claim = read_click(sign_click("/shoes/1?x=ü#top", FIELDS))

    assert isinstance(claim, ClickClaim)
    assert (claim.target, claim.fields) == ("/shoes/1?x=ü#top", FIELDS)
    assert len(claim.nonce) == 36


def test_tokens_of_equal_links_differ() -> None:
    first, second = sign_click("/", FIELDS), sign_click("/", FIELDS)

    assert read_click(first).nonce != read_click(second).nonce


def test_token_fits_into_a_path_of_a_url() -> None:
    token = sign_click("/" + "ü" * 200, {**FIELDS, "resolvedBidId": "x" * 239})

    assert set(token) <= set(string.ascii_letters + string.digits + "-_:.")
    assert len(token) < 1000


@given(
    target=st.text(st.characters(codec="utf-8"), max_size=50),
    fields=st.dictionaries(st.text(max_size=5), st.text(st.characters(codec="utf-8"), max_size=9)),
)
def test_any_target_and_fields_are_read_back(target: str, fields: dict[str, Any]) -> None:
    claim = read_click(sign_click(target, fields))

    assert (claim.target, claim.fields) == (target, fields)


def test_token_that_no_server_would_take_is_refused_when_it_is_signed() -> None:
    # Not compressible, so that it stays as long as it is.
    long = "".join(chr(0x4E00 + (index * 7919) % 20_000) for index in range(3000))
    with pytest.raises(InvalidEvent, match=f"target: .* a token of at most {MAX_TOKEN} characters"):
        sign_click(f"/{long}", FIELDS)

    assert len("GET /topsort/click/ HTTP/1.1") + MAX_TOKEN < 4094


@pytest.fixture(scope="module")
def token() -> str:
    return sign_click("/shoes/1", FIELDS)


def test_token_that_was_altered_anywhere_is_refused(token: str) -> None:
    for index, character in enumerate(token):
        other = "A" if character != "A" else "B"
        # The last character of base64 may have bits that say nothing; the signature's length is
        # such that all of them do.
        assert refuse(f"{token[:index]}{other}{token[index + 1 :]}") == "tampered"


def test_token_that_was_cut_is_refused(token: str) -> None:
    for length in range(len(token)):
        assert refuse(token[:length]) == "tampered"
        assert refuse(token[length + 1 :]) == "tampered"


@pytest.mark.parametrize("affix", ["A", ":", "=", " ", "\n", "\0", "é", "\ud800", ":A"])
def test_token_with_something_added_is_refused(token: str, affix: str) -> None:
    assert refuse(f"{token}{affix}") == "tampered"
    assert refuse(f"{affix}{token}") == "tampered"


@pytest.mark.parametrize(
    "text", ["", ":", "::", ":::", "a:b:c", ".", "..:a:b", "é", "\0", "\ud800"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert refuse(text) == "tampered"


def test_token_that_is_too_long_is_not_even_looked_at() -> None:
    long = signing.dumps(["/" + "x" * MAX_TOKEN, {}, "n"], salt=SALT)

    assert refuse(long) == "tampered"
    assert refuse("x" * 10_000_000) == "tampered"


def test_parts_of_two_tokens_make_none(token: str) -> None:
    other = sign_click("//evil.example", FIELDS)
    content, moment, signature = token.split(":")
    other_content, other_moment, other_signature = other.split(":")

    assert refuse(f"{other_content}:{moment}:{signature}") == "tampered"
    assert refuse(f"{content}:{moment}:{other_signature}") == "tampered"
    assert refuse(f"{content}:zzzzzz:{signature}") == "tampered"
    assert (moment, signature) != (other_moment, other_signature)


@pytest.mark.parametrize(
    "salt", ["", "django.core.signing", "django_topsort", "django_topsort.bid"]
)
def test_token_of_another_salt_is_refused(salt: str) -> None:
    assert refuse(signing.dumps(["/", FIELDS, "n"], salt=salt)) == "tampered"


@pytest.mark.parametrize(
    "content",
    [
        *(None, 1, "abc", [], ["/"], ["/", {}], ["/", {}, "n", 1], {"a": 1, "b": 2, "c": 3}),
        *([1, {}, "n"], ["/", [], "n"], ["/", {}, 1], [None, None, None]),
    ],
)
def test_token_that_says_something_else_is_refused(content: Any) -> None:
    assert refuse(signing.dumps(content, salt=SALT)) == "tampered"


def test_token_of_another_site_is_refused(token: str) -> None:
    with override_settings(SECRET_KEY="another"):
        assert refuse(token) == "tampered"


def test_token_of_a_key_that_was_replaced_is_read(token: str) -> None:
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "tests-only"]):
        assert read_click(token).target == "/shoes/1"
        new = sign_click("/shoes/2", FIELDS)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
        assert refuse(token) == "tampered"
        assert read_click(new).target == "/shoes/2"


@pytest.mark.parametrize(
    ("max_age", "age", "is_expired"),
    [
        (604_800, 604_799, False),
        (604_800, 604_802, True),
        (60, 59, False),
        (60, 62, True),
        (0, 2, True),
        # A clock that is a little behind that of the server which signed it.
        (604_800, -300, False),
    ],
)
def test_token_expires(clock: Clock, max_age: int, age: int, is_expired: bool) -> None:
    token = sign_click("/", FIELDS)
    clock.now += age
    with override_settings(TOPSORT_CLICK_MAX_AGE=max_age):
        assert (refuse(token) == "expired") if is_expired else read_click(token)


def test_token_expires_after_a_week_by_default(clock: Clock) -> None:
    token = sign_click("/", FIELDS)
    clock.now += 7 * 24 * 60 * 60 + 2

    assert refuse(token) == "expired"
    assert refuse(f"{token}A") == "tampered"


def test_nothing_of_a_token_is_in_the_error(token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        read_click(token[:-1])

    assert str(caught.value) == "tampered"
    assert caught.value.__cause__ is None


# Where a link may lead


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/",
            "/shoes/1",
            "/shoes/1?next=https://evil.example/#x",
            "/größe/",
            "/a b",
            "/%2F%2Fevil",
        ),
        *("http://testserver/x", "HTTP://testserver/x", "https://testserver/x", "//testserver/x"),
        *(
            "https://partner.example/x",
            "https://partner.example:8443/x",
            "/:x",
            "/@x",
            "/javascript:x",
        ),
    ],
)
@override_settings(TOPSORT_CLICK_HOSTS=["partner.example", "partner.example:8443"])
def test_link_may_lead_to_this_site_and_to_hosts_that_are_allowed(target: str) -> None:
    assert is_safe_target(RequestFactory().get("/"), target) is True


UNSAFE_TARGETS = [
    *("//evil.example", "///evil.example", "////evil.example", "/\\evil.example"),
    *("\\\\evil.example", "\\/evil.example", "/\\/evil.example", "https:\\\\evil.example"),
    *("https:evil.example", "https:///evil.example", "http:///evil.example", "https:/evil.example"),
    *("\t//evil.example", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\x00/evil"),
    *(" //evil.example", "\x01//evil.example", "\u2028//evil.example", "\ufeff//evil.example"),
    *("https://testserver@evil.example/", "https://user@testserver/", "//user@evil.example"),
    *("https://testserver\\@evil.example", "https://evil.example\\testserver/"),
    *("https://evil.example/testserver", "https://testserver.evil.example/", "https://testserve/"),
    *("https://evil.testserver/", "http://testserver:81/", "http://[::1", "http://", "https://?x"),
    *("javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", "data:text/html,x"),
    *("vbscript:x", "mailto:a@example.com", "ftp://testserver/", "file:///etc/passwd", "tel:112"),
    *("/x\r\nSet-Cookie: evil=1", "\r\n/x", "/x\n", "/x\r", "/x\x7f", "/\ud800"),
    # They would lead on from the address of the click link itself.
    *("", "shoes/1", "./x", "../x", "?page=2", "#top", "evil.example", "?x=https://testserver/"),
]


@pytest.mark.parametrize("target", UNSAFE_TARGETS)
@pytest.mark.parametrize("is_secure", [True, False])
@override_settings(TOPSORT_CLICK_HOSTS=["partner.example"])
def test_link_leads_nowhere_else(target: str, is_secure: bool) -> None:
    assert is_safe_target(RequestFactory().get("/", secure=is_secure), target) is False


def test_link_does_not_lead_from_https_to_http() -> None:
    assert not is_safe_target(RequestFactory().get("/", secure=True), "http://testserver/")
    assert is_safe_target(RequestFactory().get("/", secure=True), "https://testserver/")


def test_link_does_not_lead_to_hosts_that_the_site_does_not_serve() -> None:
    request = RequestFactory().get("/")

    assert not is_safe_target(request, "https://partner.example/")
    with override_settings(TOPSORT_CLICK_HOSTS=("partner.example",)):
        assert is_safe_target(request, "https://partner.example/")


# Once per shopper and link


class BrokenCache(BaseCache):
    """A cache that is down."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, *args: Any, **kwargs: Any) -> bool:
        raise ConnectionError("refused")


class SilentCache(BrokenCache):
    """A cache that is down and says nothing, as some can be told to."""

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return None


def use_cache(backend: str) -> override_settings:
    return override_settings(CACHES={"default": {"BACKEND": backend}})


NO_CACHES = [
    "tests.test_clicks.BrokenCache",
    "tests.test_clicks.SilentCache",
    "django.core.cache.backends.dummy.DummyCache",
]


@pytest.fixture
def _own_cache() -> Iterator[None]:
    """Use a cache that no other test has written to."""
    settings = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "clicks"}
    with override_settings(CACHES={"default": settings}):
        cache.clear()
        yield
        cache.clear()


@pytest.mark.usefixtures("_own_cache")
def test_click_counts_once_per_shopper_and_link() -> None:
    first = claim_click("link-1", "shopper-1")
    others = [claim_click("link-2", "shopper-1"), claim_click("link-1", "shopper-2")]

    assert claim_click("link-1", "shopper-1") is None
    assert len({first, *others}) == 3
    assert None not in {first, *others}


@pytest.mark.usefixtures("_own_cache")
def test_click_counts_again_after_the_window(clock: Clock) -> None:
    first = claim_click("link-1", "shopper-1")
    clock.now += 1799
    assert claim_click("link-1", "shopper-1") is None
    clock.now += 2
    second = claim_click("link-1", "shopper-1")

    assert second not in (None, first)


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize("window", [0, -1, 1])
def test_window_is_a_second_at_least(clock: Clock, window: int) -> None:
    with override_settings(TOPSORT_CLICK_WINDOW=window):
        assert claim_click("link-1", "shopper-1")
        assert claim_click("link-1", "shopper-1") is None
        clock.now += 1.5
        assert claim_click("link-1", "shopper-1")


@pytest.mark.parametrize("backend", NO_CACHES)
def test_click_has_the_same_id_within_a_window_where_no_cache_tells(
    clock: Clock, backend: str
) -> None:
    clock.now -= clock.now % 1800
    with use_cache(backend):
        first = claim_click("link-1", "shopper-1")
        clock.now += 1799
        again = claim_click("link-1", "shopper-1")
        other = claim_click("link-1", "shopper-2")
        clock.now += 1
        later = claim_click("link-1", "shopper-1")

    assert first == again
    assert first is not None
    assert len({first, other, later}) == 3


@pytest.mark.usefixtures("_own_cache")
def test_id_of_a_click_tells_neither_link_nor_shopper() -> None:
    event_id = claim_click("link-1", "shopper-1")

    assert event_id is not None
    assert len(event_id) == 32
    assert set(event_id) <= set(string.hexdigits)
    store: Any = caches["default"]
    assert len(store._cache) == 1
    assert "link-1" not in str(store._cache)
    assert "shopper-1" not in str(store._cache)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(60, 60), ("60", 60), (60.5, 60), (timedelta(minutes=1), 60), (-1, -1)],
)
def test_seconds_are_read_in_many_forms(given: Any, seconds: int) -> None:
    with override_settings(TOPSORT_CLICK_MAX_AGE=given):
        assert get_seconds("TOPSORT_CLICK_MAX_AGE") == seconds


@pytest.mark.parametrize("given", ["a week", "", None, float("nan"), float("inf"), []])
def test_setting_that_says_no_seconds_counts_as_the_default(
    given: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    _say_no_seconds.cache_clear()
    with override_settings(TOPSORT_CLICK_MAX_AGE=given, TOPSORT_CLICK_WINDOW=given):
        token = sign_click("/", FIELDS)
        clock.now += 604800 - 1
        assert read_click(token).target == "/"
        assert claim_click("link-of-no-seconds", "shopper-1")
        clock.now += 2
        assert refuse(token) == "expired"

    assert [line.getMessage().split(" given=")[0] for line in caplog.records] == [
        "setting not usable name=TOPSORT_CLICK_MAX_AGE",
        "setting not usable name=TOPSORT_CLICK_WINDOW",
    ]
