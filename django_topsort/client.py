"""The only code that knows HTTP and Topsort's endpoints."""

from __future__ import annotations

import json
import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from django.utils import timezone
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from django_topsort import __version__
from django_topsort.conf import Secret
from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    EndpointNotFound,
    InvalidRequest,
    NoAnswer,
    PayloadTooLarge,
    RateLimited,
    RedirectRefused,
    ServerUnavailable,
    TlsFailed,
    TopsortConfigurationError,
    UnexpectedAnswer,
)

EVENTS_PATH = "/v2/events"  # a slash at its end is answered with 404
MAX_ANSWER = 64 * 1024  # bytes read of an answer's body
MAX_TEXT = 200  # characters kept of what an answer says
MAX_IDLE = 30.0  # seconds after which a kept connection is likely gone at the other end

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
}


class TopsortClient:
    """Posts events through one kept-alive connection. For one thread at a time.

    ``api_url``: the scheme and host. ``api_key``: goes into the Authorization header and nowhere
    else. ``timeout``: seconds to connect and to wait for each part of an answer; the body of an
    answer is waited for no longer than the sum of the two.
    """

    def __init__(
        self, api_url: str, api_key: str, timeout: tuple[float, float] | float = (3.05, 10)
    ) -> None:
        if not api_key:
            message = (
                "TOPSORT_API_KEY is empty; set it to the marketplace's key (it starts with TSE_)"
            )
            raise TopsortConfigurationError(message)
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            message = (
                "TOPSORT_API_KEY holds characters that no key has; check for blanks and line ends"
            )
            raise TopsortConfigurationError(message)
        self.api_url = api_url.rstrip("/")
        self._timeout = timeout if isinstance(timeout, tuple | list) else (timeout, timeout)
        self._session = requests.Session()
        # Neither proxies nor a ~/.netrc from the environment: requests would replace our
        # Authorization header by the latter (psf/requests#3929).
        self._session.trust_env = False
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._session.mount(self.api_url, self._adapter)
        self._prepared = self._session.prepare_request(
            requests.Request(
                "POST",
                f"{self.api_url}{EVENTS_PATH}",
                headers={
                    "Authorization": Secret(f"Bearer {api_key}"),
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    # An unpacked answer could be of any size; Topsort's are of a few bytes.
                    "Accept-Encoding": "identity",
                    "User-Agent": f"django-topsort/{__version__}",
                },
            )
        )
        self._used_at = time.monotonic()
        self._is_warm = False

    def __repr__(self) -> str:
        return f"TopsortClient({self.api_url!r})"

    def post_events(self, body: bytes) -> None:
        """Post one request's events; return when Topsort has taken them all.

        Raises ApiError, of the class that says whether a retry can help.
        """
        now = time.monotonic()
        if now - self._used_at > MAX_IDLE:
            self._drop_connection()
        answer = self._send(body)
        if isinstance(answer, NoAnswer) and self._is_warm and answer.may_be_stale:
            # The other end closes a kept connection at any time, and a request may be on its way
            # just then. That is no failure of Topsort's, and a new connection answers at once.
            self._drop_connection()
            answer = self._send(body)
        self._used_at = time.monotonic()
        self._is_warm = not isinstance(answer, ApiError)
        if isinstance(answer, ApiError):
            # Raised here, outside of any except block: the frames of the error behind it, which hold
            # the request's head with the key in it, do not hang on to ours.
            raise answer
        check_answer(*answer)

    def close(self) -> None:
        """Close the connection. The client can be used again, and then opens another."""
        self._session.close()

    def _send(self, body: bytes) -> tuple[int, Any, bytes] | ApiError:
        prepared = self._prepared.copy()
        prepared.body = body
        prepared.headers["Content-Length"] = str(len(body))
        deadline = time.monotonic() + sum(self._timeout)
        try:
            # Through the adapter: Session.send looks up proxies and netrc, follows redirects and
            # costs several times as much.
            response = self._adapter.send(prepared, stream=True, timeout=self._timeout)
            content = self._read(response, deadline)
        except SSLError as error:
            return TlsFailed(_name(error))
        except (Timeout, ReadTimeoutError) as error:
            return NoAnswer(_name(error))
        except (RequestException, HTTPError, OSError) as error:
            return NoAnswer(_name(error), may_be_stale=True)
        return response.status_code, response.headers, content

    def _drop_connection(self) -> None:
        self._adapter.poolmanager.clear()
        self._is_warm = False

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Return at most 64 KiB of the answer's body, and give the connection back or up."""
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := response.raw.read1(MAX_ANSWER - size):
                chunks.append(chunk)
                size += len(chunk)
                if size >= MAX_ANSWER or time.monotonic() > deadline:
                    break
        finally:
            response.close()
        return b"".join(chunks)


def check_answer(status: int, headers: Any, content: bytes) -> None:
    """Raise the ApiError that an answer stands for; return if it stands for success.

    Success is 204, or another 2xx whose body is empty or JSON without an ``errCode``: a page of
    HTML with a 200 comes from a proxy or a login wall, and no event was recorded.
    """
    details = parse_error(content)
    if status == 204 or (200 <= status < 300 and details is not None and not details["err_code"]):
        return
    facts = details or {"message": "", "err_code": "", "doc_url": ""}
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
    raise error_class(status=status, retry_after=retry_after, **facts)


def parse_error(content: bytes) -> dict[str, str] | None:
    """Return message, err_code and doc_url of an answer's body, or None when it is not JSON.

    Topsort's documents show an object ``{errCode, docUrl, message}``, an array of them, and
    ``{error, message}``. The message may change and is for people only.
    """
    facts = {"message": "", "err_code": "", "doc_url": ""}
    if not content.strip():
        return facts
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if isinstance(answer, dict):
        for name, keys in (
            ("err_code", ("errCode", "error")),
            ("message", ("message",)),
            ("doc_url", ("docUrl",)),
        ):
            text = next((answer[key] for key in keys if isinstance(answer.get(key), str)), "")
            facts[name] = "".join(char for char in text[:MAX_TEXT] if char.isprintable())
    return facts


def parse_retry_after(headers: Any) -> float | None:
    """Return the seconds to wait that ``Retry-After`` or ``X-RateLimit-Reset`` asks for.

    Seconds and dates are taken, a time in the past as 0, and what is neither as None.
    """
    for name in ("Retry-After", "X-RateLimit-Reset"):
        value = str(headers.get(name, "")).strip()[:64]
        if not value:
            continue
        try:
            seconds = float(value)
        except ValueError:
            try:
                moment = parsedate_to_datetime(value)
                seconds = (moment - timezone.now()).total_seconds()
            except (ValueError, TypeError, OverflowError):
                continue
        if not math.isfinite(seconds):
            continue
        if name == "X-RateLimit-Reset" and seconds > 1_000_000_000:
            seconds -= time.time()  # the moment of the reset, in seconds since 1970
        return max(0.0, seconds)
    return None


def _name(error: BaseException) -> str:
    """Return the names of an error and its causes: their texts may quote the request."""
    names = []
    seen: BaseException | None = error
    while seen is not None and len(names) < 5:
        names.append(type(seen).__name__)
        reason = getattr(seen, "reason", None)
        first = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else None
        seen = reason if isinstance(reason, BaseException) else first or seen.__cause__
    return " < ".join(dict.fromkeys(names))
