"""What an answer of Topsort's means: nothing, when it has taken the events, or an ApiError."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

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

MAX_TEXT = 200  # characters kept of what an answer says

ERRORS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    404: EndpointNotFound,
    405: EndpointNotFound,
    408: ServerUnavailable,
    410: EndpointNotFound,
    413: PayloadTooLarge,
    415: InvalidRequest,
    422: InvalidRequest,
    425: ServerUnavailable,
    429: RateLimited,
    501: EndpointNotFound,
}


class Body(bytes):
    """An answer's body, which does not show itself in the locals of a traceback."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def check_answer(status: int, headers: Any, content: bytes | None, secret: str = "") -> None:
    """Raise the ApiError that an answer stands for; return if it stands for success.

    ``content`` is None for a body that is not known to its end. ``secret`` is what no error may
    repeat: nothing keeps a server from quoting the key that it was sent.

    Success is 204, or another 2xx whose body is empty or JSON without an ``errCode``: a page of
    HTML with a 200 comes from a proxy or a login wall, and no event was recorded.
    """
    if status == 204:
        return
    facts = parse_error(content, secret)
    if 200 <= status < 300 and facts is not None and not facts["err_code"]:
        return
    if 300 <= status < 400:
        raise RedirectRefused("redirects are not followed", status=status)
    error_class = ERRORS.get(status)
    if error_class is None:
        if 400 <= status < 500:
            # An unknown 4xx says that the request is at fault; splitting it finds out what is.
            error_class = InvalidRequest
        else:
            error_class = ServerUnavailable if status >= 500 else UnexpectedAnswer
    retry_after = parse_retry_after(headers)
    if facts is None:
        facts = {"message": read_text(content, secret)}
    raise error_class(status=status, retry_after=retry_after, **facts)


def parse_error(content: bytes | None, secret: str = "") -> dict[str, str] | None:
    """Return message, err_code and doc_url of an answer's body, or None when it is not JSON.

    Topsort's documents show an object ``{errCode, docUrl, message}``, an array of them, and
    ``{error, message}``. The message may change and is for people only.
    """
    facts = {"message": "", "err_code": "", "doc_url": ""}
    if content is None:
        return None
    if not content.strip():
        return facts
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    errors = answer if isinstance(answer, list) else [answer]
    for name, keys in (
        ("err_code", ("errCode", "error")),
        ("message", ("message",)),
        ("doc_url", ("docUrl",)),
    ):
        # Of several errors the first that says so: which event each is about, none does.
        texts = (error.get(key) for error in errors if isinstance(error, dict) for key in keys)
        text = next((text for text in texts if isinstance(text, str) and text), "")
        # Not before it is parsed: JSON can write each character in several ways.
        facts[name] = clean(hide(text, secret))
    return facts


def read_text(content: bytes | None, secret: str = "") -> str:
    """Return what a body says that is not JSON: nothing where it is a page of HTML."""
    text = (content or b"").decode(errors="replace").strip()
    return "" if text.startswith("<") else clean(hide(text, secret))


def hide(text: str, secret: str) -> str:
    """Return the text with stars in the place of the secret, if there is one."""
    return text.replace(secret, "********") if secret else text


def clean(text: str) -> str:
    """Return the beginning of a text from outside, fit for a line of a log."""
    return "".join(char for char in text[:MAX_TEXT] if char.isprintable())


def parse_retry_after(headers: Any) -> float | None:
    """Return the seconds to wait that ``Retry-After`` or ``X-RateLimit-Reset`` asks for.

    Seconds and dates are taken, a time in the past as 0, and what is neither as None.
    """
    for name in ("Retry-After", "X-RateLimit-Reset"):
        seconds = _read_seconds(str(headers.get(name, ""))[:64])
        if seconds is None:
            continue
        if name == "X-RateLimit-Reset" and seconds > 1_000_000_000:
            seconds -= time.time()  # the moment of the reset, in seconds since 1970
        return max(0.0, seconds)
    return None


def _read_seconds(value: str) -> float | None:
    """Return the seconds that a header says, or those until the date that it says."""
    # Several proxies may each have added theirs: the first that is a number counts.
    for part in value.split(","):
        with suppress(ValueError):
            if math.isfinite(seconds := float(part)):
                return seconds
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": UTC, and the sender's own zone is not known
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() - time.time()
