"""Post a batch; split it when it is refused; say of each event what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_topsort.batches import split_batch
from django_topsort.exceptions import ApiError

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.wire import EventsRequest

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
    """Post ``batch`` and return what became of it; an ApiError is in the outcome, not raised.

    Topsort records all events of a request or none, so a refused batch is posted again in parts
    until the events at fault stand alone. The same ids make it harmless if a part was recorded.
    """
    outcome = Outcome()
    todo = [batch]
    while todo:
        part = todo.pop()
        body = encode(part)
        if len(body) > MAX_BODY and len(part) > 1:
            todo.extend(reversed(split_batch(part)))
            continue
        if outcome.requests >= MAX_REQUESTS:
            todo.append(part)
            break
        outcome.requests += 1
        try:
            post(body)
        except ApiError as error:
            if not error.isolate:
                # Nothing that is wrong with an event: the rest would meet the same.
                outcome.error = error
                todo.append(part)
                break
            if len(part) > 1:
                todo.extend(reversed(split_batch(part)))
            else:
                outcome.rejected.extend((event, error) for event in part)
        else:
            outcome.delivered.extend(part)
    for part in reversed(todo):
        outcome.waiting.extend(part)
    return outcome
