"""Gives a request's events to Django's tasks; workers of whatever engine is behind them post them.

The tasks are Django's own from 6.0 on, and those of the package django-tasks before. Either is
imported with the first event. The publisher's thread enqueues, over database connections of its
own: a task is there whatever becomes of the caller's transaction, and a slow database holds up no
page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import django
from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Warning  # noqa: A004 - Django's name
from django.db import close_old_connections
from django.utils import timezone
from django.utils.module_loading import import_string

from django_topsort.backends.engine import EngineBackend, Message
from django_topsort.conf import topsort_settings
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.loading import loading
from django_topsort.sending.publisher import THREAD_NAME
from django_topsort.threads import ThreadValues

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

# By name, because what runs in a worker stands above the backends.
SEND_EVENTS = "django_topsort.engines.tasks.send_events"
RELAY_OUTBOX = "django_topsort.outbox.turn_task.relay_outbox"
PACKAGE = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
INSTALL = "Install it: python -m pip install 'django-topsort[tasks]'."
DEFAULT_QUEUE = "default"

_own = ThreadValues()


class EventBackend(EngineBackend):
    """Makes one task of each request's events, for the engine ``TOPSORT_TASKS_BACKEND``."""

    def publish(self, message: Message) -> None:
        """Enqueue one message; raises what the engine does."""
        publish_events([message])

    def check(self) -> list[CheckMessage]:
        try:
            engine = get_engine()
        except ImportError:
            text = "TOPSORT_BACKENDS names the backend of Django's tasks, which Django 5.2 has not."
            return [_build_error(text, f"{INSTALL} Or use Django 6.0.")]
        except Exception as error:
            alias = topsort_settings.TOPSORT_TASKS_BACKEND
            text = f"TOPSORT_TASKS_BACKEND: TASKS has no {alias!r} that can be used ({error})."
            hint = "Write it into TASKS, with its BACKEND, or name one that is there."
            return [_build_error(text, hint)]
        package = type(engine).__module__.partition(".")[0]
        if find_spec(f"{package}.models") and not apps.is_installed(package):
            text = (
                f"TASKS names an engine with tables of its own, {package!r}, which is no app here."
            )
            return [_build_error(text, f"Add {package!r} to INSTALLED_APPS, and migrate.")]
        queue = get_queue()
        if engine.queues and queue not in engine.queues:
            names = ", ".join(sorted(engine.queues))
            text = f"TOPSORT_ENGINE_QUEUE: {queue!r} is none of the engine's QUEUES ({names})."
            hint = f"Add {queue!r} to the QUEUES in TASKS, or name one of them."
            return [_build_error(text, hint)]
        return _warn_of_engine(engine)


def publish_events(messages: Sequence[Message], pause: float = 0.0) -> None:
    """Enqueue ``messages`` as one task, to be worked at in ``pause`` seconds where that is known.

    Raises TopsortConfigurationError where there are no tasks, or not that engine of them, and what
    the engine does.
    """
    args = [message.pack() for message in messages]
    _enqueue(SEND_EVENTS, [args], pause)


def publish_relay(pause: float = 0.0) -> None:
    """Let a worker send what is in the outbox, in ``pause`` seconds.

    Raises as ``publish_events``.
    """
    _enqueue(RELAY_OUTBOX, [], pause)


def build_task(function: Callable[..., None]) -> Any:
    """Return ``function``, which stands in a module, as a task of the engine and its queue."""
    return import_module(PACKAGE).task(
        backend=topsort_settings.TOPSORT_TASKS_BACKEND, queue_name=get_queue()
    )(function)


def get_engine() -> Any:
    """Return the engine that ``TOPSORT_TASKS_BACKEND`` names, which Django calls a task backend.

    Raises ImportError where there are no tasks, and what Django does where there is no such engine.
    """
    with loading.lock:
        return import_module(PACKAGE).task_backends[topsort_settings.TOPSORT_TASKS_BACKEND]


def get_queue() -> str:
    """Return the name of the queue for all tasks."""
    return topsort_settings.TOPSORT_ENGINE_QUEUE or DEFAULT_QUEUE


def is_publishing() -> bool:
    """Whether this thread enqueues at this moment: then a task that runs in it does so at once."""
    return getattr(_own.get(), "is_publishing", False)


@contextmanager
def _publishing() -> Iterator[None]:
    own = _own.get()
    before = is_publishing()
    own.is_publishing = True
    _mind_connections()
    try:
        yield
    finally:
        own.is_publishing = before
        _mind_connections()


def _mind_connections() -> None:
    """Do as Django does around a request, in a thread of ours; others' connections are theirs."""
    if threading.current_thread().name == THREAD_NAME:
        close_old_connections()


def _enqueue(path: str, args: Sequence[object], pause: float) -> None:
    try:
        engine = get_engine()
    except ImportError as error:
        message = f"Django {django.get_version()} has no tasks. {INSTALL}"
        raise TopsortConfigurationError(message) from error
    with loading.lock:
        task = import_string(path)
    options: dict[str, Any] = {
        "backend": topsort_settings.TOPSORT_TASKS_BACKEND,
        "queue_name": get_queue(),
    }
    if pause and engine.supports_defer:
        options["run_after"] = timezone.now() + timedelta(seconds=pause)
    with _publishing():
        task.using(**options).enqueue(*args)


def _build_error(text: str, hint: str) -> Error:
    return Error(text, hint=hint, id="django_topsort.E069")


def _warn_of_engine(engine: Any) -> list[CheckMessage]:
    """Warn of engines that are for development and tests, while this is neither."""
    does = {
        "ImmediateBackend": "posts to Topsort in the web process, and holds up pages for 50 ms",
        "DummyBackend": "runs no task, so that no event reaches Topsort",
    }
    for base in type(engine).__mro__:
        if base.__name__ in does and not settings.DEBUG:
            text = f"TASKS: {type(engine).__name__} {does[base.__name__]}."
            hint = (
                "Give TASKS an engine with workers, such as django_tasks_db.DatabaseBackend, or use"
                " the thread backend, which needs none."
            )
            return [Warning(text, hint=hint, id="django_topsort.W018")]
    return []
