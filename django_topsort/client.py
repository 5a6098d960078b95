"""Posts events to Topsort: the only code, with ``transport`` below it, that knows HTTP."""

from __future__ import annotations

import errno
import ssl
import time
from collections.abc import Iterator
from typing import Any

import requests
from requests.exceptions import RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from django_topsort import __version__
from django_topsort.answers import Body, check_answer
from django_topsort.conf import Secret
from django_topsort.exceptions import ApiError, NoAnswer, TlsFailed, TopsortConfigurationError
from django_topsort.timed import Deadline
from django_topsort.transport import EVENTS_PATH, EventsAdapter

MAX_ANSWER = 64 * 1024  # bytes read of an answer's body
MAX_IDLE = 30.0  # seconds after which a kept connection is likely gone at the other end

# What a TLS connection that is cut off looks like: a fault of the network, not of a certificate.
CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# Where no file can be opened, the certificates to trust cannot be read; there is no more to it.
NO_FILE = (errno.EMFILE, errno.ENFILE)


class TopsortClient:
    """Posts events through one kept-alive connection. For one thread at a time.

    ``api_url``: the scheme and host. ``api_key``: goes into the Authorization header and nowhere
    else. ``timeout``: seconds to connect and to wait for each part of an answer; a whole answer,
    head and body, is waited for no longer than the sum of the two, the time aside that it takes to
    look the host's name up. ``path``: of the API's addresses, the one to which it posts.
    """

    def __init__(
        self,
        api_url: str,
        api_key: str,
        timeout: tuple[float, float] | float = (3.05, 10),
        path: str = EVENTS_PATH,
    ) -> None:
        self.api_url = api_url.rstrip("/")
        api_key = Secret(api_key)  # also in the frame that a traceback of the errors below shows
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
        self._key = api_key
        self._timeout = timeout if isinstance(timeout, tuple | list) else (timeout, timeout)
        self._deadline = Deadline()
        self._session = requests.Session()
        # Neither proxies nor a ~/.netrc from the environment: requests would replace our
        # Authorization header by the latter (psf/requests#3929).
        self._session.trust_env = False
        self._adapter = EventsAdapter(self._deadline, path)
        self._session.mount(self.api_url, self._adapter)
        self._prepared = self._prepare(path)
        self._used_at = time.monotonic()
        self._is_warm = False

    def __repr__(self) -> str:
        return f"TopsortClient({self.api_url!r})"

    def post_events(self, body: bytes, limit: float | None = None) -> None:
        """Post one request's events; return when Topsort has taken them all.

        ``limit``: the seconds that it may take, where that is less than the timeouts allow. Raises
        ApiError, of the class that says whether a retry can help.
        """
        now = time.monotonic()
        if now - self._used_at > MAX_IDLE:
            self._drop_connection()
        answer = self._send(body, limit)
        if isinstance(answer, NoAnswer) and self._is_warm and answer.may_be_stale:
            # The other end closes a kept connection at any time, and a request may be on its way
            # just then. That is no failure of Topsort's, and a new connection answers at once.
            self._drop_connection()
            answer = self._send(body, limit)
        self._used_at = time.monotonic()
        self._is_warm = not isinstance(answer, ApiError)
        if isinstance(answer, ApiError):
            # Raised here, outside of any except block: the frames of the error behind it, which
            # hold the request's head with the key in it, do not hang on to ours.
            raise answer
        check_answer(*answer, secret=self._key)

    def close(self) -> None:
        """Close the connection. The client can be used again, and then opens another."""
        self._drop_connection()

    def _prepare(self, path: str) -> requests.PreparedRequest:
        request = requests.Request(
            "POST",
            f"{self.api_url}{path}",
            headers={
                "Authorization": Secret(f"Bearer {self._key}"),
                "Content-Type": "application/json",
                "Accept": "application/json",
                # An unpacked answer could be of any size; Topsort's are of a few bytes.
                "Accept-Encoding": "identity",
                "User-Agent": f"django-topsort/{__version__}",
            },
        )
        try:
            prepared = self._session.prepare_request(request)
        except (RequestException, ValueError):
            prepared = None
        # A name before an @ would go into the Authorization header, in the place of the key.
        if (
            prepared is None
            or not self.api_url.startswith(("http://", "https://"))
            or ("@" in self.api_url)
        ):
            message = (
                f"TOPSORT_API_URL: {self.api_url!r} is not allowed; write the scheme and the host,"
                " such as https://api.topsort.com"
            )
            raise TopsortConfigurationError(message)
        # A plain dict costs less than the one of requests, which looks names up in any case.
        prepared.headers = dict(prepared.headers)  # type: ignore[assignment]
        prepared._cookies = None  # type: ignore[attr-defined]  # a jar would be copied each time
        return prepared

    def _send(self, body: bytes, limit: float | None) -> tuple[int, Any, bytes | None] | ApiError:
        connect, read = self._timeout
        if limit is None:
            self._deadline.set(connect + read, after_connecting=read)
        else:
            connect, read = min(connect, limit), min(read, limit)
            self._deadline.set(limit)
        # A copy, because whoever records requests keeps them: the responses library, a log.
        prepared = self._prepared.copy()
        prepared.body = body
        prepared.headers["Content-Length"] = str(len(body))
        try:
            # Through the adapter: Session.send looks up proxies and netrc, follows redirects and
            # costs several times as much.
            answer: Any = self._adapter.send(prepared, stream=True, timeout=(connect, read))
            content = self._read(answer)
        except SSLError as error:
            causes = list(_get_causes(error))
            if any(isinstance(cause, CUT_OFF) for cause in causes):
                return NoAnswer(_name(error), may_be_stale=True)
            if any(getattr(cause, "errno", None) in NO_FILE for cause in causes):
                return NoAnswer(_name(error))
            return TlsFailed(_name(error))
        except (Timeout, ReadTimeoutError) as error:
            return NoAnswer(_name(error))
        except (RequestException, HTTPError, OSError) as error:
            return NoAnswer(_name(error), may_be_stale=True)
        return answer.status_code, answer.headers, content

    def _drop_connection(self) -> None:
        self._adapter.drop()
        self._is_warm = False

    def _read(self, answer: Any) -> bytes | None:
        """Return the answer's body, or None when it is too long or does not end.

        The connection is given back, or up where something is left on it.
        """
        try:
            content: bytes = answer.raw.read(MAX_ANSWER + 1)
        except (HTTPError, OSError, ValueError):  # the last for a chunk of -5 bytes
            return None
        finally:
            answer.raw.close()
        return Body(content) if len(content) <= MAX_ANSWER else None


def _get_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what is behind it, where requests and urllib3 keep it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        reason = getattr(seen, "reason", None)
        inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        seen = reason if isinstance(reason, BaseException) else inner or seen.__cause__


def _name(error: BaseException) -> str:
    """Return the names of an error and its causes: their texts may quote the request."""
    return " < ".join(dict.fromkeys(type(cause).__name__ for cause in _get_causes(error)))
