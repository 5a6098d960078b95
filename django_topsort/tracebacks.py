"""Logging a failure that may come with every order: each is named, and few have a traceback."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress

QUIET_SECONDS = 60.0
MAX_KINDS = 100

_shown_at: dict[tuple[str, str], float] = {}


def log_failure(
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger], message: str, *values: object
) -> None:
    """Log the exception that is being handled, with its traceback once a minute for each kind.

    A kind is ``message`` without its ``values`` and the exception's class. During an outage of the
    database each order is named in one line. Never raises, whatever a project's log handler does.
    """
    error = sys.exception()
    kind = (message, type(error).__name__)
    now = time.monotonic()
    shown_at = _shown_at.get(kind)
    is_due = shown_at is None or now - shown_at >= QUIET_SECONDS
    if is_due:
        if len(_shown_at) >= MAX_KINDS:
            _shown_at.clear()
        _shown_at[kind] = now
    with suppress(Exception):
        logger.error(message, *values, exc_info=error if is_due else None)


def forget_shown() -> None:
    """Let the next failure of each kind have its traceback."""
    _shown_at.clear()
