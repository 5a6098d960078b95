"""Who the shopper is: an opaque id that is the same in auctions, impressions, clicks and purchases.

The id is kept in a first-party cookie that the server sets, under the name that Topsort's own
scripts use, so that server and browser agree. It says nothing about the person (``OpaqueUserID``).
"""

from __future__ import annotations

import inspect
import re
import time
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

from django.core import signing
from django.http.response import HttpResponseBase

from django_topsort.conf import topsort_settings
from django_topsort.exceptions import InvalidEvent, InvalidToken, TopsortConfigurationError
from django_topsort.fields import get_exact_text
from django_topsort.ids import build_id

if TYPE_CHECKING:
    from http.cookies import Morsel

    from django.http import HttpRequest

MAX_SHOPPER_ID = 64  # characters, because Topsort's link-users endpoint takes no more
SHOPPER_ID = re.compile(r"[A-Za-z0-9._~+/=:-]{1,64}", re.ASCII)
USER_HEADER = "X-Topsort-User"  # with TOPSORT_USER_HEADER, of clients that keep no cookies
SALT = "django_topsort.shopper"
MAX_SIGNED_SHOPPER = 256  # characters; an id of 64 makes 115


class Shopper(NamedTuple):
    """A shopper's opaque user id and where it comes from.

    ``source``: ``"hook"`` (``TOPSORT_USER_ID``), ``"cookie"`` (the client brought it), ``"header"``
    (it brought it, signed, as ``X-Topsort-User``: as good as a cookie) or ``"minted"`` (made in
    this request, for a client that brought none: never proof of who is ordering).
    """

    opaque_user_id: str
    source: Literal["hook", "cookie", "header", "minted"]

    @property
    def cache_name(self) -> str:
        """The shopper in keys of caches: a cookie can claim the hook's id, but never its counters.

        Cookie and header share theirs: both bring the id that was minted here, at first by neither.
        """
        kind = "hook" if self.source == "hook" else "client"
        return f"{kind}:{self.opaque_user_id}"


def get_shopper(request: HttpRequest) -> Shopper:
    """Return who makes this request, with a new id for a client that brings none.

    Each call for such a client makes a new one: callers keep what they got for as long as the
    request lasts. Raises InvalidEvent when ``TOPSORT_USER_ID`` returns what cannot be an id.
    """
    hook = topsort_settings.get_hook("TOPSORT_USER_ID")
    if hook is not None:
        value = hook(request)
        if value is not None and value != "":
            return Shopper(_read_user_id(value), "hook")
    if brought := _get_cookie_id(request):
        return Shopper(brought, "cookie")
    if brought := _get_header_id(request):
        return Shopper(brought, "header")
    return Shopper(build_id(), "minted")


def get_brought_id(request: HttpRequest) -> str | None:
    """Return the id that the client's cookie or header brought, or None where it brought none."""
    return _get_cookie_id(request) or _get_header_id(request)


def _get_cookie_id(request: HttpRequest) -> str | None:
    brought = request.COOKIES.get(topsort_settings.TOPSORT_COOKIE_NAME, "")
    # A cookie comes from anybody: what is not an id is replaced, and never sent on or echoed.
    return brought if SHOPPER_ID.fullmatch(brought) else None


def _get_header_id(request: HttpRequest) -> str | None:
    if topsort_settings.TOPSORT_USER_HEADER is not True:
        return None
    text = request.META.get("HTTP_X_TOPSORT_USER")
    try:
        return read_shopper(text) if text else None
    except InvalidToken:
        return None  # forged or too old: a client without an id, as with a malformed cookie


def sign_shopper(opaque_user_id: str) -> str:
    """Return a shopper's id as a client without cookies keeps it, to bring it as X-Topsort-User.

    It counts for ``TOPSORT_COOKIE_AGE`` seconds. Raises InvalidEvent for what no cookie could hold.
    """
    if not SHOPPER_ID.fullmatch(opaque_user_id):
        rule = f"it must have 1 to {MAX_SHOPPER_ID} of the characters A-Z a-z 0-9 . _ ~ + / = : -"
        raise InvalidEvent("opaque_user_id", opaque_user_id, rule)
    return signing.TimestampSigner(salt=SALT).sign(opaque_user_id)


def read_shopper(text: str) -> str:
    """Return the id that ``sign_shopper`` has signed.

    Raises InvalidToken: ``"tampered"`` for what this site has not signed, ``"expired"`` for what is
    older than ``TOPSORT_COOKIE_AGE``.
    """
    if len(text) > MAX_SIGNED_SHOPPER:
        raise InvalidToken("tampered")
    age: Any = topsort_settings.TOPSORT_COOKIE_AGE
    try:
        # As for the cookie: a number in a text counts, and so does a timedelta.
        max_age = age if age is None or isinstance(age, timedelta) else int(age)
        brought = signing.TimestampSigner(salt=SALT).unsign(text, max_age=max_age)
    except signing.SignatureExpired:
        raise InvalidToken("expired") from None
    except (signing.BadSignature, ValueError, TypeError, OverflowError):
        raise InvalidToken("tampered") from None
    return brought


def _read_user_id(value: object) -> str:
    # Not whatever str() makes of an object: of a user it makes a name, and of False, which is what
    # "is_authenticated and ..." returns, one id for all visitors.
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        text: str | None = str(value)
    else:
        text = get_exact_text(value)
    if text is None or len(text) > MAX_SHOPPER_ID:
        rule = (
            f"it must return text of at most {MAX_SHOPPER_ID} characters, an int, a UUID, or None"
            " for the cookie's; return a hash of what is longer"
        )
        raise InvalidEvent("TOPSORT_USER_ID", value, rule)
    return text


def has_consent(request: HttpRequest) -> bool:
    """Return whether this shopper may be tracked, as ``TOPSORT_CONSENT`` says; yes by default.

    Raises TopsortConfigurationError for an async function.
    """
    hook = topsort_settings.get_hook("TOPSORT_CONSENT")
    if hook is None:
        return True
    answer = hook(request)
    if inspect.iscoroutine(answer):
        answer.close()
        # As any object it would count as a yes.
        message = "TOPSORT_CONSENT: an async function cannot be waited for here; name a plain one"
        raise TopsortConfigurationError(message)
    return bool(answer)


def set_shopper_cookie(request: HttpRequest, response: HttpResponseBase, shopper: Shopper) -> None:
    """Keep the shopper's id in the cookie for another year.

    Raises what Django does for a ``TOPSORT_COOKIE_*`` setting that no cookie can have, and then
    sets none.
    """
    name = topsort_settings.TOPSORT_COOKIE_NAME
    secure = topsort_settings.TOPSORT_COOKIE_SECURE
    cookie = _build_cookie(
        int(time.time()),
        name,
        topsort_settings.TOPSORT_COOKIE_AGE,
        topsort_settings.TOPSORT_COOKIE_DOMAIN,
        request.is_secure() if secure is None else secure,
        topsort_settings.TOPSORT_COOKIE_HTTPONLY,
        topsort_settings.TOPSORT_COOKIE_SAMESITE,
    ).copy()
    # Python puts a value with "/" or "=" in quotes, which it takes off again and scripts do not.
    cookie.set(name, shopper.opaque_user_id, shopper.opaque_user_id)
    response.cookies[name] = cookie


# Its attributes are the same for all who get it within a second; Django takes as long for them as
# eight impressions.
@lru_cache(maxsize=8)
def _build_cookie(  # noqa: PLR0917 - a key of the cache made of keywords takes twice as long
    second: int, name: str, age: Any, domain: Any, secure: Any, httponly: Any, samesite: Any
) -> Morsel[str]:
    response = HttpResponseBase()
    response.set_cookie(
        name,
        max_age=age,
        path="/",  # or each directory of the shop would get an id of its own
        domain=domain,
        secure=secure,
        httponly=httponly,
        samesite=samesite,
    )
    return response.cookies[name]
