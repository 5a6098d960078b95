"""Connections to Topsort: one a thread, kept alive for as long as the settings stay the same."""

from __future__ import annotations

import os
from typing import Any

from django_topsort.client import TopsortClient
from django_topsort.conf import topsort_settings
from django_topsort.exceptions import AuthenticationFailed, TopsortConfigurationError
from django_topsort.threads import ThreadValues
from django_topsort.transport import EVENTS_PATH, LINKS_PATH

_thread = ThreadValues()


def post_body(body: bytes, limit: float | None = None) -> None:
    """Post one request's body to Topsort, in ``limit`` seconds where the timeouts allow more.

    Raises ApiError; a setting that cannot be used is one that no retry helps.
    """
    _post(EVENTS_PATH, body, limit)


def post_link(body: bytes) -> None:
    """Post one link of two users to Topsort; otherwise as ``post_body``."""
    _post(LINKS_PATH, body, None)


def _post(path: str, body: bytes, limit: float | None) -> None:
    try:
        client = get_client(path)
    except TopsortConfigurationError as error:
        failure = AuthenticationFailed(str(error))
    else:
        client.post_events(body, limit)
        return
    raise failure


def get_timeout() -> tuple[float, float]:
    """Return ``TOPSORT_TIMEOUT`` as the seconds to connect and to wait for an answer."""
    timeout: Any = topsort_settings.TOPSORT_TIMEOUT
    if isinstance(timeout, tuple | list):  # a list, as a settings file in JSON or YAML has it
        connect, read = timeout
        return connect, read
    return timeout, timeout


def get_client(path: str = EVENTS_PATH) -> TopsortClient:
    """Return this thread's client for the settings as they are now; for one path at a time."""
    wanted = (
        topsort_settings.TOPSORT_API_URL,
        topsort_settings.get_api_key(),
        get_timeout(),
        path,
        os.getpid(),
    )
    own = _thread.get()
    if getattr(own, "wanted", None) != wanted:
        if hasattr(own, "client"):
            own.client.close()
        own.wanted = None
        own.client = TopsortClient(*wanted[:4])
        own.wanted = wanted
    client: TopsortClient = own.client
    return client
