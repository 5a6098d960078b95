"""Which backend takes which kind of event, and the one place that swallows an error."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from django_topsort.accounts import accounts
from django_topsort.backends.base import BaseEventBackend
from django_topsort.conf import BACKEND_KEYS, topsort_settings
from django_topsort.events import EVENT_KINDS
from django_topsort.exceptions import InvalidEvent, TopsortConfigurationError
from django_topsort.reporting import Reporter, log_limit

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.events import Event

# How deep deliveries may lie in one another, because a receiver or a log handler may record events
# in turn. Of a handler that records one for each log line, every delivery would cause another.
MAX_DEPTH = 3

# One instance per dotted path and process. A backend reads its settings at each use, so that none
# of these has to go when a setting changes.
_backends: dict[str, BaseEventBackend] = {}
_reporter = Reporter(None)
_thread = threading.local()


def get_backend(kind: str = "default") -> BaseEventBackend:
    """Return the backend that takes events of ``kind``.

    Raises TopsortConfigurationError when ``TOPSORT_BACKENDS`` names none that can be imported.
    """
    path = get_backend_path(kind)
    backend = _backends.get(path)
    if backend is None:
        backend = _backends.setdefault(path, build_backend(path))
    return backend


def get_backend_path(kind: str) -> str:
    """Return the dotted path of the backend for ``kind``, or the default's."""
    backends = topsort_settings.TOPSORT_BACKENDS
    path = backends.get(kind) or backends.get("default")
    if not path:
        message = (
            f"TOPSORT_BACKENDS has no backend for {kind!r} and no default; its keys are"
            f" {', '.join(BACKEND_KEYS)}"
        )
        raise TopsortConfigurationError(message)
    return path


def build_backend(path: str) -> BaseEventBackend:
    """Return a new backend of the class at the dotted ``path``."""
    try:
        backend_class = import_string(path)
    except Exception as error:  # any: the backend's module runs when it is imported
        message = f"TOPSORT_BACKENDS: {path!r} cannot be imported ({error}); write a dotted path"
        raise TopsortConfigurationError(message) from error
    if not (isinstance(backend_class, type) and issubclass(backend_class, BaseEventBackend)):
        message = (
            f"TOPSORT_BACKENDS: {path!r} is no event backend; name a subclass of"
            " django_topsort.backends.base.BaseEventBackend"
        )
        raise TopsortConfigurationError(message)
    return backend_class()


def is_blocking() -> bool:
    """Whether any of the backends may wait for a disk or the network when it takes events."""
    backends = topsort_settings.TOPSORT_BACKENDS
    return any(get_backend(kind).blocking for kind in backends if kind in BACKEND_KEYS)


def deliver(events: Sequence[Event]) -> None:
    """Hand ``events`` to their backends. Raises what a backend raises, for whom wants to know."""
    accounts.count_recorded(events)
    for backend, some in _route(events):
        backend.send_events(some)


def deliver_safely(events: Sequence[Event]) -> None:
    """Hand ``events`` to their backends; what fails is logged and counted, and nothing is raised.

    On an event loop's thread, a backend that blocks works in another thread. An event that is
    recorded because of a delivery, which was itself because of one, and so on, is dropped
    (``recursion``).
    """
    depth = getattr(_thread, "depth", 0)
    _thread.depth = depth + 1
    try:
        accounts.count_recorded(events)
        if depth < MAX_DEPTH:
            _deliver_counted(events)
        else:
            # One line for all, and no signal: a purchase's own line would lead on to the next.
            accounts.count_each_dropped(events, "recursion")
            said = "dropped reason=recursion count=%s"
            log_safely(logging.ERROR, ("recursion",), said, len(events))
    except Exception as error:
        log_safely(
            logging.ERROR, ("delivery",), "not delivered events=%s", len(events), error=error
        )
    finally:
        _thread.depth = depth


def give_up(events: Sequence[Event], reason: str) -> None:
    """Count ``events``, which are counted as recorded, as dropped, and say so; never raises.

    Kind by kind: where a log handler raises, the others are counted all the same.
    """
    for kind in EVENT_KINDS:
        if some := [event for event in events if event.kind == kind]:
            with suppress(Exception):
                _reporter.dropped(some, reason)


def log_safely(
    level: int,
    key: tuple[str, ...],
    message: str,
    *values: object,
    error: Exception | None = None,
) -> None:
    """Log ``message``, once a minute for each ``key``, with the traceback of ``error``.

    Never raises: a page must not fail because the project's log handler does.
    """
    with suppress(Exception):
        log_limit.log(level, key, message, *values, exc_info=error)


def refuse(kind: str, error: Exception, request: HttpRequest | None = None) -> None:
    """Raise ``error`` while ``TOPSORT_STRICT`` holds; else log it, with the path, and count it.

    ``kind`` may be another than those of events, such as ``"placement"``: then no event is lost by
    it, and none is counted.
    """
    if topsort_settings.is_strict:
        raise error
    path = _get_shown_path(request)
    if kind not in EVENT_KINDS:
        _say_unused(kind, error, path)
        return
    with suppress(Exception):  # a log handler may raise
        _reporter.refused(kind, error, path)


def flush(timeout: float = 5.0) -> bool:
    """Send at once what waits in this process, within ``timeout`` seconds for all backends.

    Returns whether nothing is left.
    """
    deadline = time.monotonic() + timeout
    is_empty = True
    for backend in list(_backends.values()):
        try:
            is_empty &= backend.flush(max(0.0, deadline - time.monotonic()))
        except Exception as error:
            name = type(backend).__module__
            log_safely(logging.ERROR, ("flush", name), "flush failed backend=%s", name, error=error)
            is_empty = False
    return is_empty


def _route(events: Sequence[Event]) -> list[tuple[BaseEventBackend, Sequence[Event]]]:
    backends = topsort_settings.TOPSORT_BACKENDS
    if not any(kind in backends for kind in EVENT_KINDS):
        return [(get_backend(), events)]
    by_path: dict[str, list[Event]] = {}
    for event in events:
        by_path.setdefault(get_backend_path(event.kind), []).append(event)
    return [(get_backend(some[0].kind), some) for some in by_path.values()]


def _get_shown_path(request: HttpRequest | None) -> str:
    path: object = getattr(request, "path", None)
    match: Any = getattr(request, "resolver_match", None)
    if "django_topsort" in getattr(match, "app_names", ()):
        # The token in it holds the whole event, which a log must not.
        path = f"/{match.route}"
    return path if isinstance(path, str) else ""


def _say_unused(kind: str, error: Exception, path: str) -> None:
    where = f" path={repr(path)[1:-1]:.200}" if path else ""
    if isinstance(error, InvalidEvent):
        given = type(error.value).__name__  # and not the value, which may be personal
        said = "not used kind=%s field=%s given=%s%s: %s"
        key = ("unused", kind, error.field)
        log_safely(logging.ERROR, key, said, kind, error.field, given, where, error.rule)
    else:
        name = type(error).__name__
        said = "not used kind=%s error=%s%s"
        log_safely(logging.ERROR, ("unused", kind, name), said, kind, name, where, error=error)


def _deliver_counted(events: Sequence[Event]) -> None:
    try:
        routes = _route(events)
    except Exception as error:
        give_up(events, "no_backend")
        count = len(events)
        log_safely(logging.ERROR, ("no_backend",), "no backend events=%s", count, error=error)
        return
    for backend, some in routes:
        if backend.blocking and (loop := _get_running_loop()) is not None:
            run = partial(contextvars.copy_context().run, _send_safely, backend, some)
            try:
                loop.run_in_executor(None, run)
            except RuntimeError:  # the loop is ending, and takes no more work
                run()
        else:
            _send_safely(backend, some)


def _send_safely(backend: BaseEventBackend, events: Sequence[Event]) -> None:
    try:
        backend.send_events(events)
    except Exception as error:
        # What it had already reported on may be counted twice: a backend that raises is broken.
        give_up(events, "backend_error")
        name = type(backend).__module__
        said = "backend failed backend=%s events=%s"
        log_safely(logging.ERROR, ("backend", name), said, name, len(events), error=error)


def _get_running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
