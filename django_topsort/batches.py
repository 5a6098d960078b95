"""Events to requests that Topsort takes: at most 50 of a kind, with the kinds mixed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django_topsort.events import EVENT_KINDS
from django_topsort.wire import EventsRequest

if TYPE_CHECKING:
    from django_topsort.events import Event

MAX_PER_KIND = 50  # the maxItems of each list of an EventsRequest


def build_batches(events: Iterable[Event]) -> list[EventsRequest]:
    """Return as few requests as ``events`` fit in, each kind in its order."""
    by_kind: dict[str, list[Any]] = {kind: [] for kind in EVENT_KINDS}
    for event in events:
        by_kind[event.kind].append(event)
    longest = max(len(some) for some in by_kind.values())
    return [
        EventsRequest(
            **{kind: tuple(some[start : start + MAX_PER_KIND]) for kind, some in by_kind.items()}
        )
        for start in range(0, longest, MAX_PER_KIND)
    ]


def split_batch(batch: EventsRequest) -> list[EventsRequest]:
    """Return a refused batch as smaller ones: by kind where it has several, else in halves.

    Kinds first, so that what is wrong with clicks does not hold up purchases. The purchases come
    first, and a batch of one event comes back as it is.
    """
    by_kind = [(kind, getattr(batch, kind)) for kind in ("purchases", *EVENT_KINDS)]
    parts = {kind: some for kind, some in by_kind if some}
    if len(parts) > 1:
        return [EventsRequest(**{kind: some}) for kind, some in parts.items()]
    if len(batch) < 2:
        return [batch]
    ((kind, some),) = parts.items()
    middle = len(some) // 2
    return [EventsRequest(**{kind: some[:middle]}), EventsRequest(**{kind: some[middle:]})]
