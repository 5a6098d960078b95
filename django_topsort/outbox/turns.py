"""One turn of an engine's worker at the outbox, in the place of the thread's and the command's."""

from __future__ import annotations

import logging
import os
import random
import time
from contextlib import suppress
from typing import NamedTuple

from django.db import close_old_connections

from django_topsort.delivery import log_safely
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.relay import Relay
from django_topsort.outbox.retention import Retention
from django_topsort.outbox.store import get_outbox_database
from django_topsort.reporting import Reporter

# An engine shares its workers between tasks, and a deployment waits for those that are at work.
TURN_SECONDS = 30.0


class _Place(NamedTuple):
    """What a worker's thread keeps from one turn to the next: when Topsort did not answer last."""

    relay: Relay
    retention: Retention


# One turn at a time has a place; further ones make one more, as many as run at once.
_places: list[tuple[int, _Place]] = []


def take_turn(seconds: float = TURN_SECONDS) -> bool:
    """Send what is due, for ``seconds`` at most, and delete what is old; whether more is due.

    Never raises what the database does: the rows stay where they are, for the next turn.
    """
    place = _take_place()
    deadline = time.monotonic() + seconds
    try:
        close_old_connections()
        place.relay.run(lambda: time.monotonic() < deadline)
        place.retention.run()
        return time.monotonic() >= deadline and place.relay.get_delay() == 0
    except Exception as error:
        said = "outbox not relayed; is it migrated, and the database there?"
        log_safely(logging.ERROR, ("relay", type(error).__name__), said, error=error)
        return False
    finally:
        _places.append((os.getpid(), place))


def _take_place() -> _Place:
    using = get_outbox_database()
    with suppress(IndexError):  # none is left
        while True:
            pid, place = _places.pop()
            if pid == os.getpid() and place.relay.using == using:
                return place
    report = Reporter(EventBackend)
    return _Place(Relay(using, report), Retention(using, time.monotonic, random.random))
