"""The task by which Celery's workers post events.

It is acknowledged when all of its events are settled, or are with the broker anew. So a worker that
is killed at any moment loses none: what it had is worked at again, and ids tell Topsort what it
knows already.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

from celery import shared_task
from celery.exceptions import Reject

from django_topsort.accounts import accounts
from django_topsort.backends.celery import EventBackend, publish_events
from django_topsort.backends.engine import Message, read_message
from django_topsort.delivery import log_safely
from django_topsort.engines.forwarding import Leftover, get_forwarder
from django_topsort.routing import get_instance

BACKEND = "django_topsort.backends.celery.EventBackend"
# Each request has its own limit, TOPSORT_TIMEOUT, and a task makes some ten: this is for a hang.
SOFT_TIME_LIMIT = 300  # seconds
TIME_LIMIT = 330
# Before a task that failed goes back to the broker, which has it worked at again at once.
PAUSE = 1.0  # seconds

# What every task of ours has in common: no result, and nothing that Celery does by itself with one
# that fails, which is to take it for done.
OPTIONS: dict[str, Any] = {
    "ignore_result": True,
    "store_errors_even_if_ignored": False,
    "serializer": "json",
    "acks_late": True,
    "reject_on_worker_lost": True,
    "acks_on_failure_or_timeout": False,
    "acks_on_timeout": False,
    "soft_time_limit": SOFT_TIME_LIMIT,
    "time_limit": TIME_LIMIT,
    "max_retries": None,
}


def send_events(task: Any, messages: Sequence[Sequence[Any]]) -> None:
    """Post the events of ``messages``, each with its body, since when, and attempts."""
    read = _read(messages)
    try:
        leftovers = get_forwarder(BACKEND).forward(read)
        if task.request.is_eager:
            _keep(leftovers)
            return
        for leftover in leftovers:
            for message in leftover.messages:
                publish_events([message], leftover.pause)
    except Exception as error:  # also Celery's soft time limit, or a broker that is gone
        said = "task broken off messages=%s; they are worked at again"
        key = ("task", type(error).__name__)
        log_safely(logging.WARNING, key, said, len(read), error=error)
        if task.request.is_eager:
            raise
        time.sleep(PAUSE)
        raise Reject(type(error).__name__, requeue=True) from error


def _read(messages: Any) -> list[Message]:
    """Return the messages that are such: nobody could ever do anything with others."""
    read = []
    for message in messages if isinstance(messages, list | tuple) else [messages]:
        try:
            body, since, attempts = message
            # Of no number that a date can be made of, nobody could say when it is too old.
            time.gmtime(since)
            read.append(Message(str(body), float(since), int(attempts)))
        except (TypeError, ValueError, OverflowError, OSError) as error:
            said = "message not readable error=%s; it is thrown away"
            log_safely(logging.ERROR, ("task message",), said, error)
    return read


def _keep(leftovers: Sequence[Leftover]) -> None:
    """Let this process have what is left, where tasks run in the place of being queued."""
    backend = cast("EventBackend", get_instance(BACKEND))
    for leftover in leftovers:
        for message in leftover.messages:
            events = read_message(message)
            accounts.count_taken(events)
            backend.keep(events)


send_events = shared_task(
    name="django_topsort.send_events",
    bind=True,
    Request="django_topsort.engines.merging:MergingRequest",
    **OPTIONS,
)(send_events)
