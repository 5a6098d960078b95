"""Signed bids: for one shopper, of one site, for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.bids import MAX_SIGNED_BID, PREFIX, SALT, is_signed, read_bid, sign_bid
from django_topsort.exceptions import InvalidToken
from tests.test_clicks import NOW, Clock

BID = "WyJlIiwiMDE4ZiIsImF1Y3Rpb24iXQ=="
SHOPPER = "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111"


def refuse(text: str, *shoppers: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        read_bid(text, shoppers or (SHOPPER,))
    return caught.value.reason


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock.time)
    return clock


@pytest.mark.parametrize(
    "bid",
    [BID, "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111", "a:b:c", ":", "::a", "ts1.x", "x" * 2048, "ü "],
)
def test_signed_bid_says_the_bid(bid: str) -> None:
    text = sign_bid(bid, SHOPPER)

    assert is_signed(text)
    assert not is_signed(BID)
    assert len(text) <= MAX_SIGNED_BID
    assert read_bid(text, (SHOPPER,)) == bid


@given(bid=st.text(min_size=1, max_size=200), shopper=st.text(min_size=1, max_size=64))
def test_signed_bid_of_any_text_says_the_bid(bid: str, shopper: str) -> None:
    assert read_bid(sign_bid(bid, shopper), {shopper}) == bid


def test_signed_bid_counts_for_its_shopper_under_each_of_the_ids() -> None:
    text = sign_bid(BID, SHOPPER)

    assert read_bid(text, ("customer-1", SHOPPER)) == BID
    assert refuse(text, "customer-1") == "foreign"
    assert refuse(text, "customer-1", "") == "foreign"
    with pytest.raises(InvalidToken, match="foreign"):
        read_bid(text, ())


def test_signed_bid_does_not_show_its_shopper() -> None:
    assert SHOPPER not in sign_bid(BID, SHOPPER)


def test_forged_bid_is_refused() -> None:
    text = sign_bid(BID, SHOPPER)
    content, _, signature = text.rpartition(":")
    mark, _, rest = content.partition(":")
    forged = [
        *("", PREFIX, BID, f"{PREFIX}{BID}", text[1:], text[:-1], f"{text}x", f" {text}"),
        f"{content}:{signature[::-1]}",
        f"{mark}:x{rest}:{signature}",
        f"{PREFIX}{'0' * 16}:{rest}:{signature}",
        PREFIX + signing.TimestampSigner(salt="of another use").sign(f"mark:{BID}"),
        PREFIX + signing.TimestampSigner(key="of another site", salt=SALT).sign(f"mark:{BID}"),
        PREFIX + signing.Signer(salt=SALT).sign(f"mark:{BID}"),
        f"{PREFIX}\ud800:\ud800:\ud800",
        text.replace(PREFIX, "TS1."),
    ]

    assert {refuse(one) for one in forged} == {"tampered"}


def test_bid_without_a_mark_is_nobodys() -> None:
    assert refuse(PREFIX + signing.TimestampSigner(salt=SALT).sign(BID)) == "foreign"


def test_bid_that_is_too_long_is_refused() -> None:
    text = sign_bid("x" * MAX_SIGNED_BID, SHOPPER)

    assert refuse(text) == "tampered"
    assert refuse(PREFIX + "x" * 10**6) == "tampered"


@pytest.mark.parametrize(
    ("max_age", "age", "is_expired"),
    [
        (604_800, 604_799, False),
        (604_800, 604_802, True),
        (60, 62, True),
        (timedelta(minutes=1), 62, True),
        ("60", 59, False),
        # What is no number of seconds counts as the default: a week.
        ("an hour", 604_799, False),
        (None, 604_802, True),
    ],
)
def test_bid_expires(clock: Clock, max_age: Any, age: int, is_expired: bool) -> None:
    text = sign_bid(BID, SHOPPER)
    clock.now = NOW + age
    with override_settings(TOPSORT_CLICK_MAX_AGE=max_age):
        assert (refuse(text) == "expired") if is_expired else (read_bid(text, {SHOPPER}) == BID)
        # Whose it was does not matter any more.
        assert refuse(text, "another") == ("expired" if is_expired else "foreign")


def test_bid_of_a_key_that_was_replaced_is_read() -> None:
    text = sign_bid(BID, SHOPPER)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["tests-only"]):
        assert read_bid(text, {SHOPPER}) == BID
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
        assert refuse(text) == "tampered"


def test_nothing_of_a_bid_is_in_the_error() -> None:
    with pytest.raises(InvalidToken) as caught:
        read_bid(sign_bid(BID, SHOPPER), {"another"})

    assert str(caught.value) == "foreign"
    assert caught.value.__cause__ is None
