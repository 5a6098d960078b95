"""Checks of ``TOPSORT_BACKENDS``, and those that each backend brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from django_topsort.backends import engine, thread
from django_topsort.backends.base import BaseEventBackend
from django_topsort.checks.messages import build_error, build_warning, show, suggest
from django_topsort.conf import BACKEND_KEYS, topsort_settings
from django_topsort.events import EVENT_KINDS
from django_topsort.routing import get_backend, get_overflow

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

OUTBOX = "django_topsort.outbox.backend.EventBackend"
DEFAULT_HINT = (
    'Write TOPSORT_BACKENDS = {"default": "django_topsort.backends.thread.EventBackend"}.'
)


def check_backends(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require a backend for each kind of event, and collect what the backends check themselves."""
    backends = _read()
    if backends is None:
        value = show(topsort_settings.TOPSORT_BACKENDS)
        text = f"TOPSORT_BACKENDS: {value} is not allowed, it must be a dict of dotted paths."
        return [build_error("E009", text, DEFAULT_HINT)]
    found: list[CheckMessage] = [
        build_error(
            "E010",
            f"TOPSORT_BACKENDS has the key {show(key)}, which is no kind of event.",
            f"{suggest(key, BACKEND_KEYS)} Its keys are {', '.join(BACKEND_KEYS)}.".strip(),
        )
        for key in backends
        if key not in BACKEND_KEYS
    ]
    if without := [kind for kind in EVENT_KINDS if not _get_path(backends, kind)]:
        text = f"TOPSORT_BACKENDS has no backend for {', '.join(without)} and no default."
        found.append(build_error("E011", text, DEFAULT_HINT))
    for path, kinds in get_paths():
        found += _check_backend(path, partial(get_backend, kinds[0]))
    return found


def check_backends_report(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of backends for development and tests: they report events to nobody."""
    return [
        build_warning(
            "W005",
            f"TOPSORT_BACKENDS: {path} is for development and tests; it takes the"
            f" {', '.join(kinds)}, and none of them reach Topsort.",
            f"{DEFAULT_HINT} It posts them to Topsort.",
        )
        for path, kinds in get_paths()
        if (backend_class := _load(path)) is not None and not backend_class.production
    ]


def check_overflow(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require an overflow that keeps what the memory cannot, and is not the memory itself."""
    path = (_read() or {}).get("overflow")
    if not path:
        return []
    found = _load(path)
    if found is not None and issubclass(found, thread.EventBackend):
        text = f"TOPSORT_BACKENDS: {show(path)} as the overflow keeps events in memory, too."
        return [build_warning("W014", text, f'Write "overflow": "{OUTBOX}", or leave it out.')]
    if any(known == path for known, _ in get_paths()):
        return []  # it has been looked at
    return _check_backend(path, get_overflow)


def check_purchases_are_safe(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of purchases that a process which is killed takes along."""
    found = _load(_get_path(_read() or {}, "purchases"))
    if found is None or not found.production or found.transactional:
        return []
    text = (
        "TOPSORT_BACKENDS: purchases are kept in memory until Topsort, or an engine, has them; a"
        " process that is killed right after an order is committed loses its report."
    )
    hint = (
        f'Add "django_topsort.outbox" to INSTALLED_APPS, write "purchases": "{OUTBOX}" in'
        " TOPSORT_BACKENDS, and migrate."
    )
    return [build_warning("W012", text, hint)]


def check_engine_queue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of an engine whose workers have other tasks in the same queue."""
    is_engine = any(
        one is not None and issubclass(one, engine.EngineBackend) for one in get_classes()
    )
    if not is_engine or topsort_settings.TOPSORT_ENGINE_QUEUE:
        return []
    text = (
        "TOPSORT_ENGINE_QUEUE is not set: events share the engine's own queue and its workers, and"
        " while Topsort is slow or down, the shop's other tasks wait with them."
    )
    hint = 'Write TOPSORT_ENGINE_QUEUE = "topsort", and run a worker for that queue alone.'
    return [build_warning("W019", text, hint)]


def is_sending() -> bool:
    """Whether any backend reports events to somebody, as far as can be told."""
    return any(one is None or one.production for one in get_classes())


def get_classes() -> list[type[BaseEventBackend] | None]:
    """Return the classes of the backends in use, with None for what cannot be imported."""
    return [_load(path) for path, _ in get_paths()]


def get_paths() -> list[tuple[object, list[str]]]:
    """Return what ``TOPSORT_BACKENDS`` names, each once with the kinds of events that it takes."""
    backends = _read() or {}
    found: list[tuple[object, list[str]]] = []
    for kind in EVENT_KINDS:
        path = _get_path(backends, kind)
        if not path:
            continue
        # No dict: what stands there in place of a path may have no hash.
        for known, kinds in found:
            if known is path or (isinstance(path, str) and known == path):
                kinds.append(kind)
                break
        else:
            found.append((path, [kind]))
    return found


def _read() -> dict[Any, Any] | None:
    """Return the setting as a dict; None for what is no mapping, or a broken one."""
    value: object = topsort_settings.TOPSORT_BACKENDS
    try:
        return dict(value) if isinstance(value, Mapping) else None
    except Exception:
        return None


def _get_path(backends: dict[Any, Any], kind: str) -> object:
    return backends.get(kind) or backends.get("default")


def _load(path: object) -> type[BaseEventBackend] | None:
    try:
        found = import_string(path)  # type: ignore[arg-type]  # raises for what is no text
    except Exception:
        return None
    return found if _is_backend(found) else None


def _is_backend(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, BaseEventBackend)


def _check_backend(path: object, get: Callable[[], BaseEventBackend | None]) -> list[CheckMessage]:
    if messages := _check_class(path):
        return messages
    try:
        backend = get()
        return [] if backend is None else list(backend.check())
    except Exception as error:
        text = f"TOPSORT_BACKENDS: {show(path)} cannot be checked: {show(error)}."
        hint = "Make its __init__() and check() work without its settings; check() returns a list."
        return [build_error("E015", text, hint)]


def _check_class(path: object) -> list[CheckMessage]:
    try:
        found = import_string(path)  # type: ignore[arg-type]  # raises for what is no text
    except Exception as error:
        # Any error: the backend's module runs when it is imported.
        text = f"TOPSORT_BACKENDS: {show(path)} cannot be imported ({error})."
        hint = f"Write the dotted path of a class. {DEFAULT_HINT}"
        return [build_error("E013", text, hint)]
    if not _is_backend(found):
        text = f"TOPSORT_BACKENDS: {show(path)} is no event backend."
        hint = "Name a subclass of django_topsort.backends.base.BaseEventBackend."
        return [build_error("E014", text, hint)]
    return []
