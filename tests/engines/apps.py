"""Apps of Celery that a test makes, and that are gone when it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, _state

from django_topsort.backends import celery


@contextmanager
def make_app(**conf: Any) -> Iterator[Any]:
    """Make an app, the default one, whose broker is in memory."""
    app = Celery("tests", broker="memory://")
    app.conf.update(broker_transport_options={"polling_interval": 0.01}, **conf)
    app.set_default()
    try:
        yield app
    finally:
        forget(app)


def forget(app: Any) -> None:
    with app.connection_for_write() as connection:
        state = connection.transport.state
        for queue in list(connection.default_channel.queues):
            connection.default_channel.queue_delete(queue)
        state.clear()
    app.close()
    _state.set_default_app(None)
    _state._set_current_app(None)
    celery._lines._idle.clear()


def read_tasks(app: Any, queue: str = "celery") -> list[tuple[dict[str, Any], Any]]:
    """Return the headers and the arguments of the tasks that wait in a queue, and empty it."""
    found = []
    with app.connection_for_read() as connection, connection.channel() as channel:
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            assert message.content_type == "application/json"
            args, _, _ = json.loads(message.body)
            found.append((message.headers, args))
    return found
