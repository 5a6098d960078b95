"""Which backend takes which kind of event, and what takes over from it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from django_topsort.backends.base import BaseEventBackend
from django_topsort.conf import BACKEND_KEYS, SETTINGS, topsort_settings
from django_topsort.events import EVENT_KINDS
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.loading import loading
from django_topsort.offloop import off_loop
from django_topsort.reporting import log_limit

if TYPE_CHECKING:
    from django_topsort.events import Event

# One instance per dotted path and process. A backend reads its settings at each use, so that none
# of these has to go when a setting changes.
_backends: dict[str, BaseEventBackend] = {}
_closed: set[str] = set()
# For what is on its way to a backend when the process ends.
CLOSING_SECONDS = 0.5
_opened = 0  # the process whose backends were told that requests are served


def get_backend(kind: str = "default") -> BaseEventBackend:
    """Return the backend that takes events of ``kind``.

    Raises TopsortConfigurationError when ``TOPSORT_BACKENDS`` names none that can be imported.
    """
    path = get_backend_path(kind)
    return get_instance(path)


def get_instance(path: str) -> BaseEventBackend:
    """Return this process's backend of the class at the dotted ``path``.

    Raises TopsortConfigurationError when it cannot be imported.
    """
    backend = _backends.get(path)
    if backend is None:
        backend = _backends.setdefault(path, build_backend(path))
        backend.overflow = partial(take_over, backend)
        backend.get_memory = _get_thread_backend
    return backend


def get_backends() -> list[BaseEventBackend]:
    """Return the backends that have been used in this process."""
    return list(_backends.values())


def get_all_backends() -> list[BaseEventBackend]:
    """Return the backends that the settings name, and those that have been used in this process.

    Those that cannot be imported are left out: the delivery says so.
    """
    for kind in BACKEND_KEYS:
        with suppress(Exception):
            if path := topsort_settings.TOPSORT_BACKENDS.get(kind):
                get_instance(path)
    return get_backends()


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


def load_backends() -> None:
    """Import the backends that the settings name, so that no request waits for it. Never raises.

    Nothing is built: what is loaded before a server forks is shared by its processes.
    """
    with suppress(Exception):
        for path in topsort_settings.TOPSORT_BACKENDS.values():
            with suppress(Exception):  # a check says what is wrong, and so does the delivery
                import_string(path)


def build_backend(path: str) -> BaseEventBackend:
    """Return a new backend of the class at the dotted ``path``."""
    try:
        with loading.lock:
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
    """Whether a request's events should wait until the response is on its way.

    They should for any backend that may wait for a disk or the network. One that belongs to the
    caller's transaction cannot wait: the connection is the request's.
    """
    return any(one.blocking and not one.transactional for one in _get_configured())


def is_transactional(kind: str) -> bool:
    """Whether events of ``kind`` belong to the caller's database transaction. Never raises."""
    try:
        return get_backend(kind).transactional
    except Exception:
        return False  # no backend: the delivery will say so


def can_take_at_once(kind: str) -> bool:
    """Whether events of ``kind`` need not wait for the end of their request. Never raises.

    They need not where their backend waits for nothing, and must not where it belongs to the
    caller's transaction.
    """
    try:
        backend = get_backend(kind)
    except Exception:
        return True  # no backend: the delivery will say so
    return backend.transactional or not backend.blocking


def open_backends() -> None:
    """Tell the backends, once in a process, that it serves requests. Never raises."""
    global _opened  # noqa: PLW0603 - of the process, as the backends are
    if _opened == os.getpid():
        return
    _opened = os.getpid()
    for backend in get_all_backends():
        with suppress(Exception):  # such as an outbox without its app: a check says so
            backend.open()


def close_backends() -> None:
    """Send what waits and give up the rest: the process ends. Never raises.

    The thread backend takes ``TOPSORT_SHUTDOWN_TIMEOUT`` seconds at most. What it then has left,
    and what comes later, goes to the overflow, or is dropped (``shutdown``).
    """
    off_loop.wait(CLOSING_SECONDS)
    for path, backend in list(_backends.items()):
        try:
            backend.close()
        except Exception as error:
            name = type(backend).__module__
            _log_safely(("close", name), "close failed backend=%s", name, error)
        _closed.add(path)


def reopen_backends() -> None:
    """Let the next events find new backends for those closed: the process did not end after all."""
    global _opened  # noqa: PLW0603 - of the process, as the backends are
    if _closed:
        _opened = 0
    while _closed:
        _backends.pop(_closed.pop(), None)


def get_overflow() -> BaseEventBackend | None:
    """Return the backend for what the others cannot keep, or None where there is none.

    Raises TopsortConfigurationError when it cannot be imported.
    """
    path = topsort_settings.TOPSORT_BACKENDS.get("overflow")
    return get_instance(path) if path else None


def get_memory_backend() -> BaseEventBackend:
    """Return the backend for events that a database refuses: the default one, or the thread's."""
    backend = get_backend()
    return _get_thread_backend() if backend.transactional else backend


def take_over(backend: BaseEventBackend, events: Sequence[Event]) -> Sequence[Event]:
    """Give what ``backend`` cannot keep to the overflow; return what it does not take.

    Never raises: whoever asks is about to give the events up.
    """
    try:
        overflow = get_overflow()
        if overflow is None or overflow is backend:
            return events
        return overflow.take_over(events)
    except Exception as error:
        key = ("overflow", type(error).__name__)
        _log_safely(key, "overflow failed events=%s", len(events), error)
        return events


def _get_configured() -> Iterable[BaseEventBackend]:
    backends = topsort_settings.TOPSORT_BACKENDS
    for kind in backends:
        if kind == "default" or kind in EVENT_KINDS:
            yield get_backend(kind)


def _get_thread_backend() -> BaseEventBackend:
    return get_instance(SETTINGS["TOPSORT_BACKENDS"].default["default"])


def _log_safely(key: tuple[str, ...], said: str, value: object, error: Exception) -> None:
    with suppress(Exception):  # the project's log handler may raise
        log_limit.log(logging.ERROR, key, said, value, exc_info=error)
