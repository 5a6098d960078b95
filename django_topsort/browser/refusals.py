"""Saying that a browser's events are not taken: to the sender, in the accounts, in the log."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from django_topsort.accounts import accounts
from django_topsort.browser.shapes import SENT_CLASSES
from django_topsort.exceptions import InvalidEvent
from django_topsort.parts import Entity, InteractionObject, Page, Placement, PurchaseItem
from django_topsort.reporting import Reporter
from django_topsort.signals import events_dropped
from django_topsort.tallies import HARMLESS, tally

MAX_NAMED = 50  # refusals in one answer
MAX_MESSAGE = 300  # characters; it may quote what was sent
# What Topsort documents; everything else is a bad request.
ERR_CODES = {
    "items": "no_purchase_items",
    "items.quantity": "purchase_item_quantity_less_or_equal_than_zero",
    "items.productId": "missing_product_id",
}
PARTS = (Entity, InteractionObject, Page, Placement, PurchaseItem)
SHAPES: tuple[type[msgspec.Struct], ...] = (*SENT_CLASSES.values(), *PARTS)
FIELDS = frozenset(name for shape in SHAPES for name in shape.__struct_encode_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event that is not taken.

    ``kind`` and ``index``: where in the body it stands. ``id``: as the browser has it.
    ``err_code``: one of Topsort's. ``message``: the field and the rule. ``reason``: that of the
    drop. ``field``: for the log.
    """

    kind: str
    index: int
    id: str | None
    err_code: str
    message: str
    reason: str = "invalid"
    field: str = ""

    def as_json(self) -> dict[str, object]:
        """Return what the answer says of it."""
        said: dict[str, object] = {"kind": self.kind, "index": self.index}
        if self.id is not None:
            said["id"] = self.id
        return {**said, "errCode": self.err_code, "message": self.message}


class RefusedEvent(Exception):
    """One event of a body cannot be taken; the arguments are those of a Refusal."""

    def __init__(
        self, err_code: str, message: str, *, reason: str = "invalid", field: str = ""
    ) -> None:
        self.err_code = err_code
        self.message = message
        self.reason = reason
        self.field = field
        super().__init__(message)


def build_refusal(kind: str, index: int, event_id: object, error: Exception) -> Refusal:
    """Return what is said of an event that could not be built because of ``error``."""
    said = explain(error)
    name = event_id if isinstance(event_id, str) and is_sayable(event_id) else None
    return Refusal(
        kind=kind,
        index=index,
        id=name,
        err_code=said.err_code,
        message=said.message,
        reason=said.reason,
        field=said.field,
    )


def explain(error: Exception) -> RefusedEvent:
    """Return ``error`` in the words of the API."""
    cause = error.__cause__ if isinstance(error, msgspec.ValidationError) else error
    if isinstance(error, RefusedEvent):
        return error
    if isinstance(cause, InvalidEvent):
        field = _spell(cause.field)
        # Of the rules only those of a quantity say "or more".
        is_wrong = field == "items.quantity" and "or more" not in cause.rule
        code = "bad_request" if is_wrong else ERR_CODES.get(field, "bad_request")
        return RefusedEvent(code, f"{field}: {cause.rule}", field=field)
    # The last one, because a value that is quoted before it may say the same.
    message, _, place = str(error).rpartition(" - at `$")
    names = re.findall(r"\w+", re.sub(r"\[\d*\.*\]", "", place))
    # Such as "items.quantity". It is logged, so it is made of names of ours alone.
    field = ".".join(names) if FIELDS.issuperset(names) else ""
    message = message or str(error)
    is_missing = field == "items" and "`productId`" in message
    code = "missing_product_id" if is_missing else "bad_request"
    return RefusedEvent(code, f"{field or 'event'}: {message}"[:MAX_MESSAGE], field=field)


def is_sayable(text: str) -> bool:
    """Whether an id can be told back: not one that fills the answer, or that no UTF-8 has."""
    with suppress(UnicodeEncodeError):
        return len(text.encode()) <= MAX_MESSAGE
    return False


def count_refusals(refusals: Iterable[Refusal]) -> None:
    """Count events that are refused, each as recorded and dropped, and say so; never raises."""
    counts = Counter((one.kind, one.reason, one.field, one.err_code) for one in refusals)
    for (kind, reason, field, err_code), number in counts.items():
        count_untaken(kind, reason, number, " field=%s errCode=%s", field, err_code)


def count_untaken(kind: str, reason: str, count: int, detail: str = "", *values: str) -> None:
    """Count events of which none is made as recorded and dropped, and say so; never raises.

    ``detail`` and its ``values``: text of our own, because it is logged.
    """
    with suppress(Exception):  # a log handler may raise
        _reporter.untaken(kind, reason, count, detail, *values)


class _BrowserReporter(Reporter):
    def untaken(self, kind: str, reason: str, count: int, detail: str, *values: str) -> None:
        accounts.count_refused(kind, reason, count)
        tally(kind, reason, count)
        # Anybody can send as many as he likes: no error of the shop's.
        level = logging.INFO if reason in HARMLESS else logging.WARNING
        message = f"browser's events not taken kind=%s reason=%s count=%s{detail}"
        key = ("untaken", kind, reason, *values)
        self._limit.log(level, key, message, kind, reason, count, *values)
        self._announce(events_dropped, kind=kind, count=count, reason=reason, events=[])


_reporter = _BrowserReporter(None)


def _spell(field: str) -> str:
    """Return a field's name as Topsort spells it."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), field)
