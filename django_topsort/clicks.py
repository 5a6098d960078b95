"""Signed click tokens: what a click link says, so that nobody else can say it.

A token carries the click's fields and the address to which it leads. It is signed with
``SECRET_KEY`` under a salt of its own, so a token that was altered, or made by another site, opens
nothing, and no address that a visitor brings is ever followed.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core import signing
from django.core.cache import cache
from django.utils.http import url_has_allowed_host_and_scheme

from django_topsort.conf import topsort_settings
from django_topsort.exceptions import InvalidEvent, InvalidToken
from django_topsort.ids import build_id

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger(__name__)

SALT = "django_topsort.click"
# Characters. A bid, a placement and an address take a thousand or less, and gunicorn by default
# answers 400 where the first line of a request has more than 4094.
MAX_TOKEN = 3584
# A path from the root, because a relative one would lead on from the click link's own address. No
# control characters, which browsers strip ("/\t/evil"). The flag for any case, and a range of rare
# characters, would take longer to compile than all the rest of this module.
TARGET = re.compile(r"(?:/|[hH][tT][tT][pP][sS]?://)[^\x00-\x1f\x7f]*")
TARGET_RULE = (
    "it must be a path that begins with /, or lead to this site or to a host of"
    " TOPSORT_CLICK_HOSTS by http(s), by https where this page came by it"
)


class ClickClaim(NamedTuple):
    """What a token says.

    ``target``: the address to which the link leads. ``fields``: those of the click, as Topsort
    spells them. ``nonce``: tells this link from any other.
    """

    target: str
    fields: dict[str, Any]
    nonce: str


def sign_click(target: str, fields: dict[str, Any]) -> str:
    """Return a token for a link to ``target`` that reports a click with ``fields``.

    Raises InvalidEvent when it gets longer than 3584 characters.
    """
    token = signing.dumps([target, fields, build_id()], salt=SALT, compress=True)
    if len(token) > MAX_TOKEN:
        rule = f"the click's fields and address must make a token of at most {MAX_TOKEN} characters"
        raise InvalidEvent("target", target, rule)
    return token


def read_click(token: str) -> ClickClaim:
    """Return what a token says.

    Raises InvalidToken: ``"expired"`` when it is older than ``TOPSORT_CLICK_MAX_AGE`` seconds,
    ``"tampered"`` when this site has not signed it.
    """
    if len(token) > MAX_TOKEN:
        raise InvalidToken("tampered")
    max_age = get_seconds("TOPSORT_CLICK_MAX_AGE")
    try:
        claim = signing.loads(token, salt=SALT, max_age=max_age)
        target, fields, nonce = claim
        if not (isinstance(target, str) and isinstance(fields, dict) and isinstance(nonce, str)):
            raise InvalidToken("tampered")  # such as from a release to come
    except signing.SignatureExpired:
        raise InvalidToken("expired") from None
    except (signing.BadSignature, ValueError, TypeError):
        raise InvalidToken("tampered") from None
    return ClickClaim(target, fields, nonce)


def is_safe_target(request: HttpRequest, target: str) -> bool:
    """Whether a link of this site may lead to ``target``: a path, this host, or one allowed."""
    if not TARGET.fullmatch(target):
        return False
    try:
        target.encode()
    except UnicodeEncodeError:
        return False  # a lone surrogate, which no header can hold
    hosts: set[str] = {request.get_host()}
    allowed = topsort_settings.TOPSORT_CLICK_HOSTS
    if isinstance(allowed, list | tuple | set | frozenset):  # else a check has said what it must be
        hosts.update(allowed)
    return url_has_allowed_host_and_scheme(target, hosts, require_https=request.is_secure())


def claim_click(nonce: str, name: str, client: str = "") -> str | None:
    """Return the id of this shopper's click on this link, or None where it was counted just now.

    A shopper's clicks on one link count once within ``TOPSORT_CLICK_WINDOW`` seconds: browsers
    repeat requests, and people click twice. The cache tells; where processes share none, the id
    does, because those of one window are the same and Topsort counts an id once.

    ``name``: the shopper's ``cache_name``. ``client``: what else tells clients apart, for one that
    brings no cookie. It has a new id with each request, and a loop of requests would make the
    vendor pay for each.
    """
    window = max(1, get_seconds("TOPSORT_CLICK_WINDOW"))
    if client and not _is_first(_hash(f"{nonce}:address:{client}"), window):
        return None
    shopper = _hash(f"{nonce}:{name}")
    if not _is_first(shopper, window):
        return None
    period = int(time.time() // window)
    return _hash(f"{shopper}:{period}")[:32]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _is_first(name: str, window: int) -> bool:
    try:
        # Not whatever is false: None is what a cache says that keeps its errors to itself.
        return cache.add(f"topsort:click:{name}", 1, timeout=window) is not False
    except Exception:
        return True  # a cache that is down: the id alone must do


def get_seconds(name: str) -> int:
    """Return the seconds that the setting ``name`` says, or its default where it says none.

    A number in a text counts, such as from an environment variable, and a timedelta.
    """
    value = getattr(topsort_settings, name)
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    with suppress(TypeError, ValueError, OverflowError):
        return int(value)
    _say_no_seconds(name, type(value).__name__)
    default: int = getattr(type(topsort_settings), name).default
    return default


# Each click would say it again: the cache is what limits the log.
@lru_cache(maxsize=16)
def _say_no_seconds(name: str, given: str) -> None:
    said = "setting not usable name=%s given=%s: it must be whole seconds"
    fields = {"event": "setting_not_usable", "name": name, "given": given}
    with suppress(Exception):  # a log handler may raise
        logger.error(said, name, given, extra={"topsort": fields})
