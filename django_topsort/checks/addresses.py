"""Checks of ``TOPSORT_API_URL``."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from django_topsort.checks.backends import is_sending
from django_topsort.checks.messages import build_error, build_warning, show
from django_topsort.conf import SETTINGS, topsort_settings

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII | re.IGNORECASE)


def check_api_url(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require the scheme and host of Topsort's API, and https wherever the key travels."""
    # Where nothing is sent, as in tests with the locmem backend, no key travels.
    return find_url_problems(needs_https=not settings.DEBUG and is_sending())


def find_url_problems(*, needs_https: bool) -> list[CheckMessage]:
    """Return what is wrong with ``TOPSORT_API_URL``; this machine itself never needs https."""
    url: object = topsort_settings.TOPSORT_API_URL
    parts = _split(url)
    if parts is None:
        return [
            build_error(
                "E005",
                f"TOPSORT_API_URL: {show(url)} is not allowed, it must be https:// and a host.",
                f'Write TOPSORT_API_URL = "{SETTINGS["TOPSORT_API_URL"].default}".',
            )
        ]
    # Without what may be in front of the host: a user's name and password are never shown.
    host = parts.netloc.rpartition("@")[2]
    found: list[CheckMessage] = []
    if parts.scheme == "http" and needs_https and not is_loopback(parts.hostname or ""):
        found.append(
            build_error(
                "E006",
                f"TOPSORT_API_URL leads to {host} by http, so that anybody on the way can read"
                " the API key.",
                f'Write TOPSORT_API_URL = "https://{host}".',
            )
        )
    if "@" in parts.netloc:
        found.append(
            build_error(
                "E007",
                "TOPSORT_API_URL holds a user's name or password, which Topsort's API has not.",
                f'Write TOPSORT_API_URL = "{parts.scheme}://{host}", and the key into'
                " TOPSORT_API_KEY.",
            )
        )
    found += _check_rest(parts, f"{parts.scheme}://{host}")
    return found


def _check_rest(parts: SplitResult, origin: str) -> list[CheckMessage]:
    hint = f'Write TOPSORT_API_URL = "{origin}".'
    if parts.path.strip("/") or parts.query or parts.fragment:
        rest = parts._replace(scheme="", netloc="").geturl()
        text = (
            f"TOPSORT_API_URL goes on with {show(rest)} after the host; it must end there, and"
            " /v2/events is added to it."
        )
        return [build_error("E008", text, hint)]
    if parts.path:
        return [build_warning("W004", "TOPSORT_API_URL ends with a slash.", hint)]
    return []


def _split(url: object) -> SplitResult | None:
    """Return the parts of what is an http(s) address with a host, else None."""
    # urlsplit() takes blanks and line ends out without a word.
    if not isinstance(url, str) or not all("!" <= char <= "~" for char in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number, or none of a port
        host = parts.hostname or ""
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and _is_host(host) else None


def _is_host(host: str) -> bool:
    return _parse_ip(host) is not None or HOST.fullmatch(host) is not None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine itself."""
    address = _parse_ip(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
