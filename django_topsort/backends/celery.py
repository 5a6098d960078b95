"""Gives a request's events to Celery, which the shop runs already; its workers post them.

Celery is imported with the first event, and waits for its broker as long as the broker likes. So it
is only ever called by the publisher's thread, and over connections of our own, which give up soon.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import Error, Warning  # noqa: A004 - Django's name
from django.utils.module_loading import import_string

from django_topsort.backends.engine import EngineBackend, Message
from django_topsort.conf import topsort_settings
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.loading import loading, require

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

# By name, because what runs in a worker stands above the backends.
SEND_EVENTS = "django_topsort.engines.celery.send_events"
RELAY_OUTBOX = "django_topsort.outbox.tasks.relay_outbox"
INSTALL = "Install it: python -m pip install 'django-topsort[celery]'."
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0  # for the broker to say that it has a message
LIMITS = {
    "redis": {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": CONNECT_SECONDS},
    "amqp": {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS},
}
# A connection that nobody used may be dead without anybody's having noticed: what fails sooner than
# this is tried once more, over a new one.
SOON = 1.0  # seconds
# Celery shows a task's arguments in logs and events, and these name shoppers.
NOT_SHOWN = "(events)"


class EventBackend(EngineBackend):
    """Makes one task of each request's events, in the queue ``TOPSORT_ENGINE_QUEUE``."""

    def publish(self, message: Message) -> None:
        """Let the broker have one message; raises what Celery, Kombu and their clients do."""
        publish_events([message])

    def check(self) -> list[CheckMessage]:
        try:
            app = get_app()
        except ImportError:
            text = "TOPSORT_BACKENDS names Celery's backend, and Celery is not installed."
            return [Error(text, hint=INSTALL, id="django_topsort.E065")]
        except TopsortConfigurationError as error:
            return [_build_app_error(str(error))]
        conf = app.conf
        if not conf.task_always_eager and not (conf.broker_write_url or conf.broker_url):
            return [_build_app_error(f"Celery's app {app.main!r} has no broker_url.")]
        try:
            app.connection_for_write().transport  # noqa: B018 - loads the client, connects nowhere
        except Exception as error:
            text = f"Celery's app {app.main!r} cannot load the client of its broker ({error})."
            hint = "Install it as an extra of Celery: python -m pip install 'celery[redis]'."
            return [Error(text, hint=hint, id="django_topsort.E071")]
        accepted = {str(name).lower() for name in conf.accept_content or ()}
        if not accepted & {"json", "application/json"}:
            text = "Celery's workers take no JSON (accept_content), which the events' tasks are in."
            hint = "Add 'json' to CELERY_ACCEPT_CONTENT, or to accept_content of Celery's app."
            return [Error(text, hint=hint, id="django_topsort.E067")]
        if conf.task_always_eager and not settings.DEBUG:
            text = f"Celery's app {app.main!r} is eager: it posts to Topsort in the web process."
            hint = "Leave CELERY_TASK_ALWAYS_EAGER to tests, or use the thread backend."
            return [Warning(text, hint=hint, id="django_topsort.W020")]
        return []


def publish_events(messages: Sequence[Message], pause: float = 0.0) -> None:
    """Let the broker have ``messages`` as one task, to be worked at in ``pause`` seconds."""
    args = [message.pack() for message in messages]
    publish_task(SEND_EVENTS, [args], pause)


def publish_relay(pause: float = 0.0) -> None:
    """Let a worker send what is in the outbox, in ``pause`` seconds."""
    publish_task(RELAY_OUTBOX, [], pause)


def publish_task(path: str, args: Sequence[object], pause: float = 0.0) -> None:
    """Let the broker have a task; return when it has said so, as far as its protocol can.

    ``path``: where the task stands. Raises TopsortConfigurationError where there is no Celery, or
    no app of it, and what Celery, Kombu and the broker's client do.
    """
    try:
        app = get_app()
    except ImportError as error:
        raise TopsortConfigurationError(f"Celery is not installed. {INSTALL}") from error
    task = get_task(app, path)
    options: dict[str, Any] = {"retry": False, "ignore_result": True, "argsrepr": NOT_SHOWN}
    if pause:
        options["countdown"] = pause
    if queue := topsort_settings.TOPSORT_ENGINE_QUEUE:
        options["queue"] = queue
    if app.conf.task_always_eager:
        task.apply_async(args, **options)
    else:
        _lines.send(app, task, args, options)


def get_app() -> Any:
    """Return the app of Celery that the project has made.

    Raises ImportError where Celery is not installed, and TopsortConfigurationError where there is
    no app, or more than one and none of them is the default.
    """
    with loading.lock, require("celery", needed_by=__name__, extra="celery"):
        from celery import _state, current_app
    # Celery's current app is that of the thread which made it. Others, such as the publisher's and
    # those of a server, get its default one, which is nobody's where the project sets none.
    app = current_app._get_current_object()
    if not _is_fallback(app):
        return app
    made = [one for one in list(_state._get_active_apps()) if one.set_as_current]
    if len(made) == 1:
        return made[0]
    if made:
        raise TopsortConfigurationError(
            "Celery has several apps, and none is the default; call set_default() of the one that"
            " is to take the events"
        )
    raise TopsortConfigurationError(
        "Celery has no app in this process; import the module that makes it in the project's"
        " __init__.py"
    )


def get_task(app: Any, path: str) -> Any:
    """Return the task at the dotted ``path`` as one of ``app``."""
    with loading.lock:
        name = import_string(path).name
    return app.tasks[name]


def bound_options(driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return Kombu's transport options with bounds on what ``driver``, its client, waits for.

    Where the project has shorter ones, these stay.
    """
    options = dict(given)
    for name, most in LIMITS.get(driver, {}).items():
        options[name] = _get_least(options.get(name), most)
    if driver == "amqp":
        # Without it a message is lost that the broker has not read when it dies.
        options["confirm_publish"] = True
    return options


def _is_fallback(app: Any) -> bool:
    return app.main == "default" and not app.set_as_current


def _build_app_error(text: str) -> Error:
    hint = (
        "Make an app of Celery with a broker_url, as Celery's page on Django shows, and import it"
        " in the project's __init__.py, so that web processes have it, too."
    )
    return Error(text, hint=hint, id="django_topsort.E066")


class _Line:
    """One connection to the broker, for one publisher at a time."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.pid = os.getpid()
        # Without heartbeats, which nobody would send while no page is asked for.
        self.connection = app.connection_for_write(heartbeat=0)
        self._bound()
        try:
            self.connection.connect()
            channel = self.connection.channel()
        except BaseException:
            self.drop()
            raise
        self.producer = app.amqp.Producer(channel, auto_declare=False)

    def _bound(self) -> None:
        """Let nothing wait for longer than it should, unless the project lets it wait for less."""
        connection = self.connection
        connection.connect_timeout = _get_least(connection.connect_timeout, CONNECT_SECONDS)
        connection.transport_options = bound_options(
            connection.transport.driver_type, connection.transport_options or {}
        )

    def send(self, task: Any, args: Sequence[object], options: dict[str, Any]) -> None:
        task.apply_async(args, producer=self.producer, confirm_timeout=ANSWER_SECONDS, **options)

    def drop(self) -> None:
        """Let go of the connection, without a word to a broker that may not answer."""
        with suppress(Exception):
            self.connection.collect(socket_timeout=0.1)


class _Lines:
    """The connections of this process that nobody uses at the moment: one, as a rule."""

    def __init__(self) -> None:
        self._idle: list[_Line] = []

    def send(self, app: Any, task: Any, args: Sequence[object], options: dict[str, Any]) -> None:
        """Publish a task, over a new connection where none is idle or that one is dead."""
        line = self._take(app)
        if line is not None:
            begun = time.monotonic()
            try:
                self._send(line, task, args, options)
            except Exception:
                if time.monotonic() - begun > SOON:
                    raise
            else:
                return
        self._send(_Line(app), task, args, options)

    def _send(
        self, line: _Line, task: Any, args: Sequence[object], options: dict[str, Any]
    ) -> None:
        try:
            line.send(task, args, options)
        except BaseException:
            line.drop()
            raise
        self._idle.append(line)

    def _take(self, app: Any) -> _Line | None:
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return None
            if line.pid == os.getpid() and line.app is app:
                return line
            # Of another app; or of the parent, which goes on to use it: a fork may be silent.


def _get_least(given: float | None, most: float) -> float:
    return min(given, most) if given else most


_lines = _Lines()
