"""Everything that this package raises.

::

    TopsortError
    ├── InvalidEvent            wrong data cannot become an event (also a ValueError)
    ├── InvalidToken            a signed text that is forged, another shopper's or too old
    ├── UnreportableOrder       an order that should be a purchase cannot become one
    └── ApiError                a request to Topsort that did not end in success
        ├── InvalidRequest          400, 415, 422: an event of the batch is refused  (isolate)
        ├── PayloadTooLarge         413                                              (isolate)
        ├── AuthenticationFailed    401, 403                                         (configuration)
        ├── EndpointNotFound        404, 405, 410, 501                               (configuration)
        ├── RedirectRefused         3xx                                              (configuration)
        ├── TlsFailed               the certificate is not what it must be           (configuration)
        ├── EverythingRefused       a 400 or its like, whatever is sent              (configuration)
        ├── RateLimited             429                                              (retryable)
        ├── ServerUnavailable       408, 425, 5xx                                    (retryable)
        ├── UnexpectedAnswer        any other answer                                 (retryable)
        └── NoAnswer                refused, reset, timed out, no such host          (retryable)

    TopsortConfigurationError   a setting that cannot be used: outside the tree, so that nothing
                                that catches a TopsortError swallows it
"""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ImproperlyConfigured


class TopsortError(Exception):
    """The root of what can go wrong with an event, a token or a request to Topsort."""


class InvalidEvent(TopsortError, ValueError):
    """A value that Topsort's events schema, or a limit of ours, does not allow.

    ``field`` is the dotted name of the field (``"placement.position"``), ``value`` what was given,
    ``rule`` what is allowed.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        self.field = field
        self.value = value
        self.rule = rule
        super().__init__(field, value, rule)

    def __str__(self) -> str:
        return f"{self.field}: {describe(self.value)} is not allowed, {self.rule}"


class InvalidToken(TopsortError):
    """A signed text that cannot be trusted: a click token, a bid or a shopper's id.

    ``reason``: ``"tampered"``, ``"expired"`` or, for a bid signed for somebody else, ``"foreign"``.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UnreportableOrder(TopsortError):
    """An order that should be reported and cannot be: a purchase is lost.

    ``reason``: ``"no_number"``, ``"no_payable_line"`` (none is left, because some cannot be read)
    or ``"not_saved"``. ``detail``: what to do about it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(reason, detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class ApiError(TopsortError):
    """A request to Topsort that did not end in success.

    ``status`` is the HTTP status or None when there was no answer; ``err_code``, ``message`` and
    ``doc_url`` are what the answer's body said (at most 200 characters each); ``retry_after`` is
    how many seconds Topsort asked to wait, or None.

    Three class attributes say what can help: ``retryable``, the same request can succeed later;
    ``isolate``, an event of the batch is at fault and the others can be sent without it;
    ``configuration``, nothing succeeds until a person changes a setting. ``explain()`` says it in
    words.
    """

    retryable: ClassVar[bool] = False
    isolate: ClassVar[bool] = False
    configuration: ClassVar[bool] = False
    explanation: ClassVar[str] = "The request did not succeed."

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        err_code: str = "",
        doc_url: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.message = message
        self.status = status
        self.err_code = err_code
        self.doc_url = doc_url
        self.retry_after = retry_after
        super().__init__(message)

    def __str__(self) -> str:
        parts = [f"status={self.status}" if self.status else "no answer"]
        if self.err_code:
            parts.append(f"errCode={self.err_code}")
        if self.message:
            parts.append(self.message)
        return " ".join(parts)

    def explain(self, url: str, timeout: object) -> str:
        """Return what this means and what to do about it, in one line and for a person.

        ``url``: where the request went; ``timeout``: what ``TOPSORT_TIMEOUT`` was.
        """
        host = url.partition("://")[2].partition("/")[0]
        return self._choose_explanation().format(url=url, host=host, timeout=timeout)

    def _choose_explanation(self) -> str:
        return self.explanation


class InvalidRequest(ApiError):
    """400, 415 or 422: at least one event of the batch is refused, so none was recorded."""

    isolate = True
    explanation = "Topsort refused what was sent. The key and the URL are right."


class PayloadTooLarge(ApiError):
    """413: the body is larger than Topsort takes; a smaller one may pass."""

    isolate = True
    explanation = (
        "The request is too large for {host}, or for a proxy or firewall in front of it:"
        " TOPSORT_API_URL should lead to Topsort directly."
    )


class AuthenticationFailed(ApiError):
    """401 or 403: the API key is missing, wrong, revoked or of another kind."""

    configuration = True
    explanation = (
        "Topsort does not accept the key in TOPSORT_API_KEY: it is revoked, incomplete, of another"
        " kind than a marketplace's (which starts with TSE_), or of another environment than {host}"
        " (sandbox, production). Copy the Marketplace key anew from Topsort's dashboard."
    )


class EndpointNotFound(ApiError):
    """404, 405, 410 or 501: ``TOPSORT_API_URL`` does not lead to Topsort's Events API."""

    configuration = True
    explanation = (
        "There is no Events API at {url}. Compare TOPSORT_API_URL with the address that Topsort"
        " gave you; it is the scheme and the host alone, such as https://api.topsort.com."
    )


class RedirectRefused(ApiError):
    """3xx: never followed, because the API key would go along to wherever it leads."""

    configuration = True
    explanation = (
        "{url} redirects to another address. Redirects are not followed, because the API key would"
        " go along. Write the address at which it ends, its scheme and host alone, into"
        " TOPSORT_API_URL (https in place of http, for one)."
    )


class TlsFailed(ApiError):
    """The server's certificate is not valid for ``TOPSORT_API_URL``."""

    configuration = True
    explanation = (
        "No safe connection to {host}: its certificate is expired, made for another name or signed"
        " by nobody whom this machine trusts, or {host} does not speak TLS on that port. Check"
        " TOPSORT_API_URL, this machine's clock, and any proxy that opens TLS connections."
    )


class EverythingRefused(ApiError):
    """Topsort refuses every event of one batch after another: it cannot be the events.

    It has the status and the ``errCode`` of the last refusal.
    """

    configuration = True
    explanation = (
        "Topsort refuses every event, so it is not the events that are at fault: {host} may ask for"
        " something that this version of django-topsort does not send, or the account is not set up"
        " for events. They wait. Look the errCode up at docUrl, update, or ask Topsort."
    )


class RateLimited(ApiError):
    """429: too many requests; ``retry_after`` says how long to wait, where Topsort said so."""

    retryable = True
    explanation = "Topsort takes no more requests for now."


class ServerUnavailable(ApiError):
    """408, 425 or 5xx: Topsort cannot take events at the moment."""

    retryable = True
    explanation = "Topsort cannot take events at the moment."


class UnexpectedAnswer(ApiError):
    """An answer that no part of the API documents, such as a 200 with a web page in it."""

    retryable = True
    explanation = (
        "{url} answered as no Events API does: a proxy or a login page may stand in between, or"
        " TOPSORT_API_URL leads to something else."
    )


class NoAnswer(ApiError):
    """No answer: the connection was refused, reset or timed out, or the host has no address.

    ``may_be_stale``: the connection broke, as one that was kept open too long does.
    """

    retryable = True
    explanation = (
        "The connection to {host} broke off. If it happens each time, something in between ends it."
        " Proxies that the environment names (HTTPS_PROXY) are not used."
    )
    # By the name of the error behind it, which the message holds.
    explanations: ClassVar[dict[str, str]] = {
        "NameResolutionError": (
            "The name {host} has no address, as far as this machine can tell. Check the spelling in"
            " TOPSORT_API_URL, and whether this machine resolves other names."
        ),
        "ConnectTimeout": (
            "No connection to {host} within TOPSORT_TIMEOUT = {timeout} (seconds). A firewall in"
            " between may swallow the packets: allow connections from here to {host}."
        ),
        "ReadTimeout": (
            "{host} took the connection, but did not answer within TOPSORT_TIMEOUT = {timeout}"
            " (seconds). If it happens often, raise TOPSORT_TIMEOUT."
        ),
        "ConnectionRefusedError": (
            "{host} refuses the connection: nothing listens there. Check the host and the port in"
            " TOPSORT_API_URL, and start the server if it is one of your own."
        ),
    }

    def __init__(self, message: str = "", *, may_be_stale: bool = False) -> None:
        self.may_be_stale = may_be_stale
        super().__init__(message)

    def _choose_explanation(self) -> str:
        names = self.message.split(" < ")
        texts = (text for name, text in self.explanations.items() if name in names)
        return next(texts, self.explanation)


class TopsortConfigurationError(ImproperlyConfigured):
    """A ``TOPSORT_*`` setting that cannot be used; the message says what to write instead."""


def describe(value: object) -> str:
    """Return ``repr(value)``, at most 80 characters of it, also when it cannot be had."""
    try:
        text = repr(value)
    except Exception:
        # A value from a template can be anything, and its __repr__ may query a database.
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
