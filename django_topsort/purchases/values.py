"""One value of an order, in whatever shape a shop keeps it: a number, a time, an id, a currency."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from django_topsort.fields import MAX_PRICE

# What Money, TaxedMoney and Price types call the number in them, from the outside inwards. What the
# shopper pays includes the tax, so gross it is.
AMOUNT_NAMES = ("gross", "amount", "value")
# Of our own, because a shop may have set a context with a low precision or with other traps.
EXACT = Context(prec=50, rounding=ROUND_HALF_UP, traps=[])
MAX_SHOWN = 64  # characters of an order's number in a log
LEAST_MILLISECONDS = 10**11  # as seconds it would be the year 5138, as milliseconds it is 1973
EPOCH_TEXT = re.compile(r"\d{10}|\d{13}")  # seconds or milliseconds of these years
MAX_DEPTH = 4  # TaxedMoney -> Money -> Decimal are two steps

GROUPING_SPACES = re.compile(r"[\s'\u2019]")  # 1 234,50 (any kind of space) and 1'234.50
DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")  # 1,5 and 1.234,50
GROUPING_COMMA = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")  # 1,234.50 and 1,234,567
GROUPING_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3}){2,}")  # 1.234.567


class Absent:
    """The type of ``ABSENT``."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


def get_value(owner: object, name: str) -> object:
    """Return what ``owner`` has under ``name``, or ``ABSENT``.

    A dotted name is followed (``"event.currency"``). Mappings have keys only: the ``items`` of a
    dict are not its lines. A method that takes no arguments is called, a manager read with
    ``all()``. A related object that is gone counts as absent.
    """
    for part in name.split("."):
        owner = _get_part(owner, part)
    return owner


def _get_part(owner: object, name: str) -> object:
    if isinstance(owner, Mapping):
        return owner.get(name, ABSENT)
    try:
        value = _get_attribute(owner, name)
    except ObjectDoesNotExist:
        return ABSENT
    # A related manager can be called as well, with an argument, so it is looked for first.
    read_all = _get_attribute(value, "all")
    if inspect.isroutine(read_all):
        return _read_beside(owner, read_all())
    if inspect.isroutine(value):
        return value() if _is_getter(value) else ABSENT
    return value


def _get_attribute(owner: object, name: str) -> Any:
    try:
        return getattr(owner, name, ABSENT)
    except (LookupError, TypeError, ValueError):
        # A ``__getattr__`` that looks into a dict says so of each name that it does not know. Of a
        # name that the owner has, it is a fault in the shop's own property.
        if inspect.getattr_static(owner, name, ABSENT) is not ABSENT:
            raise
        return ABSENT


def _read_beside(owner: object, rows: object) -> object:
    """Return related rows, of the database that ``owner`` is from: a replica may lag behind it."""
    if isinstance(owner, Model) and isinstance(rows, QuerySet):
        alias = owner._state.db
        if alias is not None and rows.db != alias:
            return rows.using(alias)
    return rows


def _is_getter(method: Callable[..., Any]) -> bool:
    """Whether ``method`` can be called without arguments, and does not alter data by that."""
    if getattr(method, "alters_data", False):
        return False
    try:
        inspect.signature(method).bind()
    except (TypeError, ValueError):
        return False
    return True


def read_decimal(value: object) -> Decimal | None:
    """Return the number that ``value`` is or holds, or None where it is none.

    A Decimal, an int, a float (its shortest digits, not its binary value), text (``"1.5"``,
    ``"1,5"``, ``"1.234,50"``, ``"1,234.50"``), or an object with one of these under ``gross``,
    ``amount`` or ``value``. Not a bool, not what is not finite, and nothing of a million million or
    more. ``"1,234"`` is none either: it is 1.234 to some and 1234 to others.
    """
    value = _unwrap(value)
    if isinstance(value, Decimal):
        number = Decimal(value)
    elif isinstance(value, bool):
        return None
    elif isinstance(value, int):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(float.__repr__(value))
    elif isinstance(value, str):
        try:
            number = Decimal(_write_plainly(value))
        except InvalidOperation:
            return None
    else:
        return None
    return number if number.is_finite() and number.copy_abs() < MAX_PRICE else None


def _unwrap(value: object) -> object:
    for _ in range(MAX_DEPTH):
        # A Money may be a Decimal that has an amount of its own kind.
        if isinstance(value, Decimal | int | float | str):
            break
        inner = (get_value(value, name) for name in AMOUNT_NAMES)
        value = next((amount for amount in inner if amount is not ABSENT), None)
    return value


def _write_plainly(text: str) -> str:
    text = GROUPING_SPACES.sub("", text)
    comma_is_decimal = DECIMAL_COMMA.fullmatch(text)
    comma_is_grouping = GROUPING_COMMA.fullmatch(text)
    if comma_is_decimal and comma_is_grouping:
        return ""
    if comma_is_decimal:
        return text.replace(".", "").replace(",", ".")
    if comma_is_grouping:
        return text.replace(",", "")
    if GROUPING_POINT.fullmatch(text):
        return text.replace(".", "")
    return text


def read_time(value: object) -> datetime | None:
    """Return the aware datetime that ``value`` is, or None where it is none.

    It takes what ``parse_time`` takes; a date is the day's beginning, and what has no time zone is
    taken in the current one.
    """
    parsed = parse_time(value)
    if parsed is None:
        return None
    if not isinstance(parsed, datetime):
        parsed = datetime.combine(parsed, time.min)
    return timezone.make_aware(parsed) if timezone.is_naive(parsed) else parsed


def parse_time(value: object) -> datetime | date | None:
    """Return the datetime or date that ``value`` is: ISO text, or (milli)seconds since 1970."""
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str):
            text = value.strip()
            if not EPOCH_TEXT.fullmatch(text):
                return parse_date(text) or parse_datetime(text)
            value = int(text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) >= LEAST_MILLISECONDS else value
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # February 30, or the year 50000
        return None
    return None


def is_empty(value: object) -> bool:
    """Whether ``value`` says nothing: absent, None or blank text."""
    # Not by comparing with "": some Money types raise when they are compared with anything else.
    return value is ABSENT or value is None or (isinstance(value, str) and not value.strip())


def read_id(value: object) -> str | None:
    """Return the id that ``value`` is, or has as ``pk`` or ``id``; None where there is none."""
    if isinstance(value, Model):
        value = value.pk  # as below, in a tenth of the time: a page has dozens of products
    elif not is_plain_id(value):
        value = find_own_id(value)[1]
    if value is None or isinstance(value, bool):
        return None
    return str(value).strip() or None


def find_own_id(owner: object) -> tuple[str, object]:
    """Return under which name ``owner`` has an id of its own, and that id; ``("", None)``: none."""
    found = ((name, get_value(owner, name)) for name in ("pk", "id"))
    return next((pair for pair in found if pair[1] is not ABSENT), ("", None))


def show_key(key: str) -> str:
    """Return an order's number as a log may show it: of one line, and of 64 characters at most."""
    return "".join(char if char.isprintable() else "?" for char in key[:MAX_SHOWN])


def is_plain_id(value: object) -> bool:
    """Whether ``value`` is an id by itself, and not something that has one."""
    return isinstance(value, str | int | UUID)


def read_currency(value: object) -> str | None:
    """Return the code of a currency (``"EUR"``), given as text or as an object with a ``code``."""
    if is_empty(value):
        return None
    code = get_value(value, "code")
    return str(value if code is ABSENT else code).strip().upper() or None
