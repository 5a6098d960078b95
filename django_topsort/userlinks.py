"""That two opaque user ids are one shopper's: a guest's, and the customer's whom the guest became.

A pair is claimed in Django's default cache, so that it is reported once and not at each login. That
is the weak form: a cache may forget, and Topsort then hears of the pair again, which does no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from django.core.cache import cache
from django.db import connections

from django_topsort.conf import topsort_settings


class UserLink(NamedTuple):
    """A guest's id and the same shopper's id as a customer: 1 to 64 characters each, not equal."""

    guest: str
    customer: str

    def __repr__(self) -> str:
        return "<UserLink>"  # an id must not get into a log with a traceback's locals


def encode_link(link: UserLink) -> bytes:
    """Return the JSON in which Topsort hears of a link."""
    return msgspec.json.encode({"from": link.guest, "to": link.customer})


def claim_link(link: UserLink) -> bool:
    """Return whether ``link`` is new, for as long as a cookie lives. Raises what the cache does."""
    return cache.add(_build_key(link), True, topsort_settings.TOPSORT_COOKIE_AGE)


def release_link(link: UserLink) -> None:
    """Let the next login report ``link`` again: it was not delivered. Raises what the cache does.

    Connections to a database that this opens are closed: nobody else would, in a thread of ours.
    """
    with _left_as_they_were():
        cache.delete(_build_key(link))


def _build_key(link: UserLink) -> str:
    digest = hashlib.sha256(f"{link.guest}\0{link.customer}".encode()).hexdigest()
    return f"topsort:link:{digest}"


@contextmanager
def _left_as_they_were() -> Iterator[None]:
    before = {one.alias for one in connections.all(initialized_only=True) if one.connection}
    try:
        yield
    finally:
        for one in connections.all(initialized_only=True):
            if one.alias not in before:
                one.close()
