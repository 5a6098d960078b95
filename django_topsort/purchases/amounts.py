"""A number or a time of an order, in whatever shape a shop keeps it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from django_topsort.fields import MAX_PRICE
from django_topsort.purchases.values import ABSENT, get_value

# What Money, TaxedMoney and Price types call the number in them, from the outside inwards. What the
# shopper pays includes the tax, so gross it is.
AMOUNT_NAMES = ("gross", "amount", "value")
# Of our own, because a shop may have set a context with a low precision or with other traps.
EXACT = Context(prec=50, rounding=ROUND_HALF_UP, traps=[])
LEAST_MILLISECONDS = 10**11  # as seconds it would be the year 5138, as milliseconds it is 1973
EPOCH_TEXT = re.compile(r"\d{10}|\d{13}")  # seconds or milliseconds of these years
MAX_DEPTH = 4  # TaxedMoney -> Money -> Decimal are two steps

GROUPING_SPACES = re.compile(r"[\s'\u2019]")  # 1 234,50 (any kind of space) and 1'234.50
DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")  # 1,5 and 1.234,50
GROUPING_COMMA = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")  # 1,234.50 and 1,234,567
GROUPING_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3}){2,}")  # 1.234.567


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
