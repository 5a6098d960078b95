"""Signed bids: a resolved bid id that counts for the shopper to whom it was shown, and for a while.

Whoever can post to a shop can make a vendor pay for clicks that nobody made. With
``TOPSORT_REQUIRE_SIGNED_BIDS`` a browser cannot report a bid that no page of this shop has shown to
its shopper. A signed bid is as opaque as the bid itself, so that Topsort's own scripts carry it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from django.core import signing

from django_topsort.clicks import get_seconds
from django_topsort.exceptions import InvalidToken

SALT = "django_topsort.bid"
PREFIX = "ts1."  # no bid of Topsort's begins with it: theirs are base64 or a UUID
MAX_SIGNED_BID = 3072  # characters, of which the bid itself has up to 2048


def sign_bid(resolved_bid_id: str, opaque_user_id: str) -> str:
    """Return ``resolved_bid_id``, signed for the shopper with ``opaque_user_id``."""
    content = f"{_mark(opaque_user_id)}:{resolved_bid_id}"
    return PREFIX + signing.TimestampSigner(salt=SALT).sign(content)


def is_signed(text: str) -> bool:
    """Whether ``text`` has the form of a signed bid."""
    return text.startswith(PREFIX)


def read_bid(text: str, opaque_user_ids: Collection[str]) -> str:
    """Return the bid that was signed for one of ``opaque_user_ids``.

    Raises InvalidToken: ``"tampered"`` for what this site has not signed, ``"foreign"`` for what it
    has signed for somebody else, ``"expired"`` for what is older than ``TOPSORT_CLICK_MAX_AGE``.
    """
    if len(text) > MAX_SIGNED_BID or not is_signed(text):
        raise InvalidToken("tampered")
    max_age = get_seconds("TOPSORT_CLICK_MAX_AGE")
    try:
        content = signing.TimestampSigner(salt=SALT).unsign(text[len(PREFIX) :], max_age=max_age)
    except signing.SignatureExpired:
        raise InvalidToken("expired") from None
    except (signing.BadSignature, ValueError):
        raise InvalidToken("tampered") from None
    mark, _, bid = content.partition(":")
    if mark not in {_mark(user_id) for user_id in opaque_user_ids}:
        raise InvalidToken("foreign")
    return bid


def _mark(opaque_user_id: str) -> str:
    """Return what stands for a shopper in a signed bid: enough to tell one from another."""
    return hashlib.sha256(opaque_user_id.encode(errors="replace")).hexdigest()[:16]
