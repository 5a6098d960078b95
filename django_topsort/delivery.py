"""Which backend takes which kind of event, and the one place that swallows an error."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from django_topsort.accounts import accounts
from django_topsort.backends.base import BaseEventBackend
from django_topsort.conf import BACKEND_KEYS, topsort_settings
from django_topsort.events import EVENT_KINDS
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.reporting import Reporter

if TYPE_CHECKING:
    from django_topsort.events import Event

logger = logging.getLogger(__name__)

# One instance per dotted path and process. A backend reads its settings at each use, so that none
# of these has to go when a setting changes.
_backends: dict[str, BaseEventBackend] = {}
_reporter = Reporter(None)


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
    except (ImportError, AttributeError, TypeError) as error:
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

    On an event loop's thread, a backend that blocks works in another thread.
    """
    accounts.count_recorded(events)
    try:
        routes = _route(events)
    except Exception:
        logger.exception("no backend events=%s", len(events))
        _reporter.dropped(events, "no_backend")
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


def flush(timeout: float = 5.0) -> bool:
    """Send at once what waits in this process, within ``timeout`` seconds for all backends.

    Returns whether nothing is left.
    """
    deadline = time.monotonic() + timeout
    is_empty = True
    for backend in list(_backends.values()):
        try:
            is_empty &= backend.flush(max(0.0, deadline - time.monotonic()))
        except Exception:
            logger.exception("flush failed backend=%s", type(backend).__module__)
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


def _send_safely(backend: BaseEventBackend, events: Sequence[Event]) -> None:
    try:
        backend.send_events(events)
    except Exception:
        # What it had already reported on may be counted twice: a backend that raises is broken.
        logger.exception(
            "backend failed backend=%s events=%s", type(backend).__module__, len(events)
        )
        _reporter.dropped(events, "backend_error")


def _get_running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
