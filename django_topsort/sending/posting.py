"""Post a batch; split it when it is refused; say of each event what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_topsort.batches import split_batch
from django_topsort.exceptions import ApiError, InvalidRequest, NoAnswer

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.wire import EventsRequest

logger = logging.getLogger(__name__)

MAX_BODY = 512 * 1024  # bytes; Topsort names no limit, servers of its kind have 1 MiB and more
MAX_REQUESTS = 64  # that one batch may cost; what is then not settled goes back to the queue


@dataclass
class Outcome:
    """What became of a batch: every event of it is in exactly one of the three lists.

    ``error`` says why those in ``waiting`` were not settled; None when only the number of requests
    ran out.
    """

    delivered: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, ApiError]] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)
    error: ApiError | None = None
    requests: int = 0


def post_batch(
    batch: EventsRequest,
    post: Callable[[bytes], None],
    encode: Callable[[EventsRequest], bytes],
) -> Outcome:
    """Post ``batch`` and return what became of it; an exception is in the outcome, not raised.

    Topsort records all events of a request or none, so a refused batch is posted again in parts
    until the events at fault stand alone. The same ids make it harmless if a part was recorded.
    """
    outcome = Outcome()
    todo = [batch]
    while todo:
        part = todo.pop()
        try:
            body = encode(part)
        except Exception as fault:
            # One event that cannot be written is found as one that Topsort refuses, and is as lost.
            error: ApiError | None = InvalidRequest(f"not written as JSON: {type(fault).__name__}")
        else:
            if len(body) > MAX_BODY and len(part) > 1:
                todo.extend(reversed(split_batch(part)))
                continue
            if outcome.requests >= MAX_REQUESTS:
                todo.append(part)
                break
            outcome.requests += 1
            error = _try(post, body)
        if error is None:
            outcome.delivered.extend(part)
        elif not error.isolate:
            # Nothing that is wrong with an event: the rest would meet the same.
            outcome.error = error
            todo.append(part)
            break
        elif len(part) > 1:
            todo.extend(reversed(split_batch(part)))
        else:
            outcome.rejected.extend((event, error) for event in part)
    for part in reversed(todo):
        outcome.waiting.extend(part)
    return outcome


def _try(post: Callable[[bytes], None], body: bytes) -> ApiError | None:
    try:
        post(body)
    except ApiError as error:
        return error
    except Exception as fault:
        # Of ours, or of a function in the settings. What was settled before must not be forgotten,
        # and the rest is tried again.
        logger.exception("posting failed error=%s", type(fault).__name__)
        return NoAnswer(f"{type(fault).__name__} in this process")
    return None
