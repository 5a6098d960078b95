"""From a request's body to what it says: in one pass where all is well, else event by event."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

import msgspec

from django_topsort.browser.refusals import RefusedEvent
from django_topsort.browser.repairs import Repairs
from django_topsort.browser.shapes import SENT_CLASSES, SentEvent, SentEvents
from django_topsort.conf import topsort_settings
from django_topsort.delivery import log_safely
from django_topsort.events import EVENT_KINDS

MAX_DEPTH = 16  # objects and lists in one another; a list of categories is the fifth
MAX_EVENTS = 1000  # in one body; 64 KiB have room for about 500
MAX_DIGITS = 20  # of a whole number; more are slow to read, and none of ours
# Possessive, and also what is never closed: anything that is tried twice makes a long body slow.
TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
BRACKETS = b"[]{}"
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))


class UnreadableBody(Exception):
    """A body that brings no events: the ``status`` and ``err_code`` to answer with, and why."""

    def __init__(self, err_code: str, message: str, status: int = 400) -> None:
        self.status = status
        self.err_code = err_code
        self.message = message
        super().__init__(message)


class Unreadable(NamedTuple):
    """An event that cannot be read; ``id`` is whatever the browser has sent for it."""

    id: object
    error: Exception


Sent = SentEvent | Unreadable
Reading = dict[str, Sequence[Sent]]

_decode = msgspec.json.Decoder(SentEvents).decode


def _know_none() -> None:
    """Return no path, as for a body of which nobody knows the page."""


def read_body(body: bytes, find_path: Callable[[], str | None] = _know_none) -> Reading:
    """Return what ``body`` says, by kind; kinds of which it has none are absent.

    ``find_path``: returns that of the page that sent it, for placements that lack one; it is called
    only where something has to be set right. Raises UnreadableBody for what is no JSON object, or
    has no event, or more than 1000.
    """
    reading: Reading
    try:
        content = _decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        reading = _read_each(_parse(body), find_path())
    else:
        reading = {kind: some for kind in EVENT_KINDS if (some := getattr(content, kind))}
    count = sum(len(events) for events in reading.values())
    if not count:
        raise UnreadableBody("empty_request", "the request brings no event at all")
    if count > MAX_EVENTS:
        message = f"the request brings {count} events, at most {MAX_EVENTS} are taken at once"
        raise UnreadableBody("bad_request", message, 413)
    return reading


def is_deep(body: bytes) -> bool:
    """Whether a body's objects and lists stand too deep in one another: 16 are not, 33 are.

    A reader goes as deep as a body does, and a stack has its end, which is where a process does.
    """
    brackets = TEXTS.sub(b"", body).translate(None, NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        # Without the innermost pairs, which are those that have nothing in them.
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _parse(body: bytes) -> dict[str, Any]:
    if is_deep(body):
        message = f"the body is not JSON, or nested more than {MAX_DEPTH} deep"
        raise UnreadableBody("invalid_json", message)
    try:
        # Not msgspec, for which half an emoji at the end of a text costs the whole body.
        content = json.loads(
            body.decode("utf-8-sig"),
            parse_float=_read_number,
            parse_int=_read_integer,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise UnreadableBody("invalid_json", "the body is not JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise UnreadableBody("bad_request", "the body must be a JSON object")
    if content and content.keys().isdisjoint(EVENT_KINDS):
        kinds = ", ".join(EVENT_KINDS)
        raise UnreadableBody("bad_request", f"the body must have one of the keys {kinds}")
    return content


def _read_each(content: dict[str, Any], path: str | None) -> Reading:
    repairs = Repairs(path)
    for key in content:
        if key not in EVENT_KINDS:
            repairs.note("body", key)
    reading: Reading = {}
    for kind in EVENT_KINDS:
        events = content.get(kind)
        if events is None or events == []:
            continue
        if not isinstance(events, list):
            error = RefusedEvent("bad_request", f"{kind}: it must be a list of events", field=kind)
            reading[kind] = [Unreadable(None, error)]
        elif len(events) > MAX_EVENTS:
            # All are refused for being too many, and need not be read.
            reading[kind] = [Unreadable(None, RefusedEvent("bad_request", ""))] * len(events)
        else:
            reading[kind] = [_read_event(kind, one, repairs) for one in events]
    if repairs.unknown:
        _say_unknown(repairs)
    return reading


def _say_unknown(repairs: Repairs) -> None:
    parts = ",".join(sorted(repairs.unknown))
    said, shown = "unknown keys left out of %s", [parts]
    if topsort_settings.is_strict:
        # Of those who develop it; of others a key may be personal, as whatever they send.
        said, shown = f"{said}: %s", [parts, ", ".join(repairs.named)]
    log_safely(logging.INFO, ("unknown keys", parts), said, *shown)


def _read_event(kind: str, content: Any, repairs: Repairs) -> Sent:
    if not isinstance(content, dict):
        return Unreadable(None, RefusedEvent("bad_request", "event: it must be an object"))
    try:
        return msgspec.convert(repairs.repair(kind, content), SENT_CLASSES[kind])
    except msgspec.MsgspecError as error:
        return Unreadable(content.get("id"), error)
    except UnicodeError:
        # Half an emoji, where there should be no text at all.
        refusal = RefusedEvent("bad_request", "event: it has text that UTF-8 cannot encode")
        return Unreadable(content.get("id"), refusal)


def _read_number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:
        return text  # no number of ours, and no reason to refuse the other events


def _read_integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
