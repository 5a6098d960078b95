"""The body of ``POST /v2/events``: events to JSON and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from itertools import chain
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from django_topsort.events import (
    Click,
    Event,
    Impression,
    PageView,
    Part,
    Purchase,
)
from django_topsort.exceptions import InvalidEvent

CATEGORY_FIELDS = ("categoryIds", "categoryId")
EVENT_CLASSES: dict[str, type[Event]] = {
    event_class.kind: event_class for event_class in (Impression, Click, Purchase, PageView)
}

_encoder = msgspec.json.Encoder(decimal_format="number")


class EventsRequest(Part, frozen=True, kw_only=True):
    """One request's events by kind (``EventsRequest``); Topsort takes at most 50 of each.

    Raises InvalidEvent for what is no list of that kind's events.
    """

    impressions: tuple[Impression, ...] = ()
    clicks: tuple[Click, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    pageviews: tuple[PageView, ...] = ()

    def __post_init__(self) -> None:
        for kind, event_class in EVENT_CLASSES.items():
            events = getattr(self, kind)
            if not isinstance(events, list | tuple):
                raise InvalidEvent(kind, events, f"it must be a list of {event_class.__name__}s")
            if not {*map(type, events)} <= {event_class}:
                other = next(event for event in events if type(event) is not event_class)
                rule = f"it must be an instance of {event_class.__name__} itself"
                raise InvalidEvent(kind, other, rule)
            force_setattr(self, kind, tuple(events))

    # The sender asks for both again and again, so that what goes over the events is not ours.
    def __iter__(self) -> Iterator[Event]:
        return chain(self.impressions, self.clicks, self.purchases, self.pageviews)

    def __len__(self) -> int:
        return len(self.impressions) + len(self.clicks) + len(self.purchases) + len(self.pageviews)


# Made when something is read: a process that only sends need not learn each field's type.
@cache
def _get_decoder(wanted: type[Part]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)


def build_request(events: Iterable[Event]) -> EventsRequest:
    """Return the request that holds ``events``, by kind and in their order."""
    by_kind: dict[str, list[Any]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    return EventsRequest(**{kind: tuple(some) for kind, some in by_kind.items()})


def encode_request(request: EventsRequest, category_field: str = "categoryIds") -> bytes:
    """Return the JSON of ``request``.

    ``category_field="categoryId"`` writes the older form that a part of Topsort's documentation
    shows: one string, the first of the categories.
    """
    return _encode(request, category_field)


def encode_event(event: Event, category_field: str = "categoryIds") -> bytes:
    """Return the JSON of one event, as it stands in a request's list."""
    return _encode(event, category_field)


def decode_request(body: bytes | str) -> EventsRequest:
    """Return the events of a request's JSON, with ``categoryId`` or ``categoryIds``.

    It reads a little more than Topsort takes: null for what is absent, a price in quotes, and an
    event without an id or a time, which gets one. Raises InvalidEvent, which names the field, for
    whatever else is not such a request.
    """
    try:
        try:
            request: EventsRequest = _get_decoder(EventsRequest).decode(body)
        except msgspec.ValidationError:
            # Only what the older form may have refused is looked at again, in the slower way.
            content = _rename_categories(_LOOSE.decode(body))
            request = msgspec.convert(content, EventsRequest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if isinstance(error.__cause__, InvalidEvent):
            raise error.__cause__ from None
        raise InvalidEvent("body", body, f"it must be an events request: {error}") from None
    return request


def decode_event(kind: str, text: bytes | str) -> Event:
    """Return the event of ``kind`` whose JSON ``encode_event`` has made, equal to it in all parts.

    Raises InvalidEvent for whatever is not the JSON of such an event.
    """
    try:
        event: Event = _get_decoder(EVENT_CLASSES[kind]).decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if isinstance(error.__cause__, InvalidEvent):
            raise error.__cause__ from None
        raise InvalidEvent("event", text, f"it must be one of {kind}: {error}") from None
    return event


# Numbers are kept as text's exact values: a float would alter a price on its way through.
_LOOSE = msgspec.json.Decoder(float_hook=Decimal)


def _encode(part: Part, category_field: str) -> bytes:
    if category_field == "categoryIds":
        return _encoder.encode(part)
    content = msgspec.to_builtins(part, builtin_types=(Decimal,))
    for placement in _find_placements(content):
        categories = placement.pop("categoryIds", None)
        if categories:
            placement["categoryId"] = categories[0]
    return _encoder.encode(content)


def _rename_categories(content: Any) -> Any:
    for placement in _find_placements(content):
        if "categoryId" in placement and "categoryIds" not in placement:
            placement["categoryIds"] = placement.pop("categoryId")
    return content


def _find_placements(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the placements in a request's or an event's plain content, whatever shape it has."""
    if not isinstance(content, dict):
        return
    if isinstance(content.get("placement"), dict):
        yield content["placement"]
    for kind in ("impressions", "clicks"):
        events = content.get(kind)
        for event in events if isinstance(events, list | tuple) else ():
            if isinstance(event, dict) and isinstance(event.get("placement"), dict):
                yield event["placement"]
