"""The task by which the workers of Django's tasks post events.

Django's tasks are not tried again, whatever becomes of them. So one that ends, well or not, first
sees off what is left of its events: to the engine anew, or another way where that fails.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django_topsort.accounts import accounts
from django_topsort.backends.engine import Message, read_message
from django_topsort.backends.tasks import build_task, get_engine, is_publishing, publish_events
from django_topsort.delivery import log_safely
from django_topsort.engines.forwarding import HOLDING_SECONDS, get_forwarder
from django_topsort.routing import get_instance

if TYPE_CHECKING:
    from django_topsort.backends.engine import EngineBackend

BACKEND = "django_topsort.backends.tasks.EventBackend"
# After a failure that is none of Topsort's, such as a setting: the next try may find it mended.
PAUSE = 60.0  # seconds


def send_events(messages: Sequence[Sequence[Any]]) -> None:
    """Post the events of ``messages``, each with its body, since when, and attempts.

    Raises what went wrong, for the engine to show; no event depends on it then.
    """
    read = [Message(str(body), float(since), int(attempts)) for body, since, attempts in messages]
    try:
        leftovers = get_forwarder(BACKEND).forward(read)
    except BaseException as error:  # also the exit of a worker that is told twice to end
        said = "task broken off messages=%s; they are enqueued anew"
        key = ("task", type(error).__name__)
        log_safely(logging.WARNING, key, said, len(read), error=error)
        for message in read:
            _put_back(message, PAUSE)
        raise
    left = [leftover for leftover in leftovers if leftover.messages]
    if left and not is_publishing() and not get_engine().supports_defer:
        # It is worked at again as soon as a worker is free: so this one is not, for a while.
        time.sleep(min(HOLDING_SECONDS, *(leftover.pause for leftover in left)))
    for leftover in left:
        for message in leftover.messages:
            _put_back(message, leftover.pause)


def _put_back(message: Message, pause: float) -> None:
    """Enqueue a message anew; where that cannot be, let the overflow or the memory have it."""
    if not is_publishing():  # where a task runs as it is enqueued, this would go on for ever
        try:
            publish_events([message], pause)
        except Exception as error:
            name = type(error).__name__
            said = "not enqueued anew error=%s; its events take another way"
            log_safely(logging.WARNING, ("anew", name), said, name)
        else:
            return
    events = read_message(message)
    accounts.count_taken(events)
    cast("EngineBackend", get_instance(BACKEND)).keep(events)


send_events = build_task(send_events)
