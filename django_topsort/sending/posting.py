"""Post a batch; split it when it is refused; say of each event what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from django_topsort.batches import split_batch
from django_topsort.events import EVENT_KINDS
from django_topsort.exceptions import ApiError, InvalidRequest, NoAnswer
from django_topsort.wire import EventsRequest

if TYPE_CHECKING:
    from django_topsort.events import Event

logger = logging.getLogger(__name__)

MAX_BODY = 512 * 1024  # bytes; Topsort names no limit, servers of its kind have 1 MiB and more
MAX_REQUESTS = 64  # that one batch may cost; what is then not settled goes back to the queue
# Where so many are refused and none is taken, it may be that all are: the rest waits for what
# becomes of other batches.
MAX_REFUSED = 5


class Outcome(Struct):
    """What became of a batch: every event of it is in exactly one of the four lists.

    ``duplicates`` have the kind and the id of another one in the batch, and are not sent. ``error``
    says why those in ``waiting`` were not settled; None when the batch had cost enough.
    """

    delivered: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, ApiError]] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)
    duplicates: list[Event] = field(default_factory=list)
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
    todo = [_set_duplicates_apart(batch, outcome.duplicates)]
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
            is_futile = len(outcome.rejected) >= MAX_REFUSED and not outcome.delivered
            if outcome.requests >= MAX_REQUESTS or is_futile:
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


def _set_duplicates_apart(batch: EventsRequest, duplicates: list[Event]) -> EventsRequest:
    """Return ``batch`` without the events that Topsort would take for earlier ones of it."""
    # Nearly no batch has one: the set of ids costs 20 ns an event.
    for kind in EVENT_KINDS:
        some = getattr(batch, kind)
        if len({event.id for event in some}) < len(some):
            break
    else:
        return batch
    by_kind: dict[str, Any] = {}
    for kind in EVENT_KINDS:
        first: dict[str, Event] = {}
        some = getattr(batch, kind)
        duplicates += [event for event in some if first.setdefault(event.id, event) is not event]
        by_kind[kind] = tuple(first.values())
    return EventsRequest(**by_kind)


def _try(post: Callable[[bytes], None], body: bytes) -> ApiError | None:
    try:
        post(body)
    except ApiError as error:
        return error
    except Exception as fault:
        # Of ours, or of a function in the settings. What was settled before must not be forgotten,
        # and the rest is tried again.
        name = type(fault).__name__
        fields = {"event": "posting_failed", "error": name}
        logger.exception("posting failed error=%s", name, extra={"topsort": fields})
        return NoAnswer(f"{name} in this process")
    return None
