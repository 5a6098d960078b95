"""What a request tells about a visit: the path, the device, and whether a person makes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django_topsort.conf import topsort_settings
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.fields import MAX_TEXT
from django_topsort.loading import loading

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.fields import DeviceType

UNESCAPED = "/:@&+$,-_.!~*'();=|[]"  # in a path, by the URL standard that browsers follow
MAX_USER_AGENT = 1024  # characters looked at: the header comes from anybody

# Tablets count as mobile: Topsort knows no third kind (the DeviceType schema). A "Tablet PC" is no
# tablet but a part of Windows, which Internet Explorer names.
MOBILE_AGENT = re.compile(
    r"Mobi|Android|iPhone|iPad|iPod|Tablet(?! PC)|Silk/|Kindle|PlayBook|Opera Mini|webOS|hpwOS",
    re.IGNORECASE,
)


def get_path(request: HttpRequest) -> str:
    """Return the path of the request's URL, without its query string, at most 2048 characters.

    A query string may hold search texts and e-mail addresses, and Topsort asks for what
    ``window.location.pathname`` has (``Placement.path``): blanks and letters beyond ASCII are
    escaped there, and so here, or a page would have one path from the server and another from the
    browser.
    """
    return quote(request.path, safe=UNESCAPED, errors="replace")[:MAX_TEXT] or "/"


def join_path(path: Any, component: object) -> Any:
    """Return ``path`` with the component at its end; what is no text is left as it is."""
    if not component or not isinstance(path, str):
        return path
    name = f"{component}".strip("/")
    # The path comes from anybody, and what it is too long by is no fault of the page.
    return f"{path[: MAX_TEXT - len(name) - 1].rstrip('/')}/{name}"


def get_device_type(request: HttpRequest) -> DeviceType:
    """Return ``"mobile"`` or ``"desktop"``; a tablet counts as mobile.

    ``Sec-CH-UA-Mobile`` says it where the browser sends it, else the user agent does. An Android
    tablet's Chrome sends ``?0`` there, so that only ``?1`` ends the search.
    """
    if request.META.get("HTTP_SEC_CH_UA_MOBILE") == "?1":
        return "mobile"
    return "mobile" if _is_mobile(_get_agent(request)) else "desktop"


def get_ignore_reason(request: HttpRequest) -> str | None:
    """Return why no person sees the answer to this request, or None when one may.

    ``"head"``: a HEAD request has no body. ``"prefetch"``: the browser fetches in advance, and asks
    again or tells nobody when the page is shown. ``"crawler"``: a program that says so, or that a
    server or a script uses to fetch pages (curl, python-requests). ``"automated"``: a browser that
    a script drives. ``"hook"``: ``TOPSORT_IGNORE_REQUEST`` says so; where it is set, it decides
    alone. Raises TopsortConfigurationError for an async function.
    """
    hook = topsort_settings.get_hook("TOPSORT_IGNORE_REQUEST")
    if hook is not None:
        return "hook" if _ask(hook, request) else None
    if request.method == "HEAD":
        return "head"
    meta = request.META
    # Sec-Purpose: "prefetch", "prefetch;prerender"; Purpose: Safari and old Chrome; X-Moz: Firefox.
    for header in ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ"):
        if "pre" in meta.get(header, "").lower():
            return "prefetch"
    return _find_program(_get_agent(request))


def _ask(hook: Callable[[HttpRequest], object], request: HttpRequest) -> bool:
    answer = hook(request)
    if inspect.iscoroutine(answer):
        answer.close()
        # As any object it would count as a yes, and nothing would ever be reported.
        message = (
            "TOPSORT_IGNORE_REQUEST: an async function cannot be waited for here; name a plain one"
        )
        raise TopsortConfigurationError(message)
    return bool(answer)


def _get_agent(request: HttpRequest) -> str:
    agent: str = request.META.get("HTTP_USER_AGENT", "")
    return agent[:MAX_USER_AGENT]


# The searches take as long as dozens of impressions, and a few hundred agents make most visits. At
# most 1024 texts of at most 1024 characters are kept.
@lru_cache(maxsize=1024)
def _is_mobile(agent: str) -> bool:
    return MOBILE_AGENT.search(agent) is not None


@lru_cache(maxsize=1024)
def _find_program(agent: str) -> str | None:
    # It reads a long list, and makes an expression of it for its first search: not before there is
    # an agent to look at.
    with loading.lock:
        from django_topsort.programs import find_program

        return find_program(agent)
