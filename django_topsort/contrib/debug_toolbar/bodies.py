"""What will be posted, by whom, and how this process fares."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from django_topsort.accounts import accounts
from django_topsort.backends.base import encode_body
from django_topsort.batches import build_batches
from django_topsort.routing import get_all_backends, get_backend, get_backend_path

if TYPE_CHECKING:
    from django_topsort.backends.base import BaseEventBackend
    from django_topsort.events import Event

MAX_BODIES = 4  # shown of each backend
MAX_BODY = 64 * 1024  # characters shown of a body
FIGURES = ("recorded", "delivered", "rejected", "dropped", "stored", "waiting")


def build_bodies(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return by backend which requests ``events`` would make, without the key and alone."""
    by_path: dict[str, list[Event]] = {}
    for event in events:
        by_path.setdefault(_get_path(event.kind), []).append(event)
    return [_build_of_backend(path, some) for path, some in by_path.items()]


def _get_path(kind: str) -> str:
    try:
        return get_backend_path(kind)
    except Exception:
        return ""  # the delivery will say so


def _build_of_backend(path: str, events: list[Event]) -> dict[str, Any]:
    batches = build_batches(events)
    bodies = []
    for batch in batches[:MAX_BODIES]:
        text = msgspec.json.format(encode_body(batch), indent=2).decode()
        bodies.append(text if len(text) <= MAX_BODY else f"{text[:MAX_BODY]}\n...")
    return {
        "backend": path or "no backend",
        "how": describe_backend(events[0].kind),
        "bodies": bodies,
        "more": max(0, len(batches) - MAX_BODIES),
    }


def describe_backend(kind: str) -> str:
    """Return when the backend for ``kind`` takes its events."""
    try:
        backend = get_backend(kind)
    except Exception as error:
        return str(error)
    if backend.transactional:
        how = "writes them into the database before the response leaves, and posts them later"
    elif backend.blocking:
        how = "takes them when the response is on its way, because it may have to wait"
    else:
        how = "takes them when the response is there, and keeps nobody waiting"
    return how if backend.production else f"{how}; it reports to nobody"


def build_process_state() -> dict[str, Any]:
    """Return how this process fares; no database is asked for it."""
    counts = accounts.get_counts()
    rows = [
        {"kind": kind, "figures": [figures[name] for name in FIGURES], "reasons": _list(figures)}
        for kind, figures in counts.items()
    ]
    states = [_get_state(backend) for backend in get_all_backends() if not backend.transactional]
    return {
        "pid": os.getpid(),
        "names": list(FIGURES),
        "rows": rows,
        "is_paused": any(state.get("is_paused") is True for state in states),
        "last_error": str(accounts.last.error),
    }


def _list(figures: dict[str, Any]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in sorted(figures["reasons"].items()))


def _get_state(backend: BaseEventBackend) -> dict[str, Any]:
    with suppress(Exception):  # of the project's own backend
        return backend.get_state()
    return {}
