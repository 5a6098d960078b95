"""Events and announcements to rows, and back."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from django_topsort.exceptions import InvalidEvent
from django_topsort.outbox.clock import TOLERANCE, adapt_time
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.purchases.announcements import Announcement
from django_topsort.wire import decode_event, encode_event

if TYPE_CHECKING:
    from datetime import timedelta

    from django_topsort.events import Event

DESTINATION = "default"
MAX_SHOWN = 255  # characters of an event's id that a person can look for
NOT_ASCII = re.compile(r"[^\x00-\x7f]")

_announcement_encoder = msgspec.json.Encoder()
_announcement_decoder = msgspec.json.Decoder(Announcement)


class Reading(NamedTuple):
    """A row with the event in it."""

    row: OutboxEvent
    event: Event


def build_row(event: Event, now: datetime) -> OutboxEvent:
    """Return a row that is to be sent at once."""
    return OutboxEvent(
        key=build_key(event.kind, event.id),
        destination=DESTINATION,
        kind=event.kind,
        event_id=show(event.id),
        payload=to_ascii(encode_event(event)),
        occurred_at=adapt_time(event.occurred_at),
        created_at=now,
        # This host's clock may be ahead of the database's, by which it is found to be due.
        due_at=now - TOLERANCE,
    )


def build_announcement_row(
    announcement: Announcement, now: datetime, patience: timedelta
) -> OutboxEvent:
    """Return a row that is to be looked at after ``patience``, if it is still there then."""
    return OutboxEvent(
        key=build_announcement_key(announcement),
        destination=DESTINATION,
        kind="purchases",
        event_id=show(announcement.name),
        payload=to_ascii(_announcement_encoder.encode(announcement)),
        is_announcement=True,
        status=Status.ANNOUNCED,
        occurred_at=now,
        created_at=now,
        due_at=now + patience,
    )


def read_event(row: OutboxEvent) -> Event:
    """Return the event of a row. Raises InvalidEvent for what is none."""
    return decode_event(row.kind, row.payload)


def read_announcement(row: OutboxEvent) -> Announcement:
    """Return the announcement of a row. Raises InvalidEvent for what is none."""
    try:
        return _announcement_decoder.decode(row.payload)
    except msgspec.MsgspecError as error:
        raise InvalidEvent("announcement", row.event_id, f"it cannot be read: {error}") from None


def build_key(kind: str, event_id: str) -> str:
    """Return what makes an event's row the only one of its kind and id.

    A digest: databases differ in which texts are the same to them, and in how long a unique one
    may be.
    """
    return hashlib.sha256(f"{DESTINATION}\0{kind}\0{event_id}".encode()).hexdigest()


def build_announcement_key(announcement: Announcement) -> str:
    """Return what makes an announcement's row the only one of its own."""
    return build_key("announcement", announcement.token)


def to_ascii(text: bytes) -> str:
    """Return JSON in ASCII, which every database stores as it is, whatever its character set."""
    decoded = text.decode()
    if decoded.isascii():
        return decoded
    return NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], decoded)


def show(text: str, most: int = MAX_SHOWN) -> str:
    """Return as much of a text as a column holds, in what it can hold.

    MySQL's older character set, in which many a shop's tables still are, has no place for what lies
    beyond U+FFFF, and refuses the row for it.
    """
    return "".join(char if char.isprintable() and char <= "\uffff" else "?" for char in text[:most])
