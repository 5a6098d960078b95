"""What a field of an event may hold: the checks that ``parts.py`` and ``events.py`` are built of.

Each takes the event, the attribute and the field's dotted name, replaces the value by its plain
form where it has one, and raises InvalidEvent where it has none. Topsort's schema sets no upper
bounds; those here keep an event within what a queue and a request body can be planned for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import islice
from typing import Any, Literal, get_args

from django.utils.functional import Promise
from django.utils.timezone import make_aware
from msgspec.structs import force_setattr

from django_topsort.exceptions import InvalidEvent

DeviceType = Literal["desktop", "mobile"]
Channel = Literal["onsite", "offsite", "instore"]
ClickType = Literal["product", "like", "add-to-cart"]
PageType = Literal["home", "category", "PDP", "search", "cart", "other"]
EntityType = Literal["product", "vendor"]
ObjectType = Literal["listing", "banner"]

DEVICE_TYPES: tuple[str, ...] = get_args(DeviceType)
CHANNELS: tuple[str, ...] = get_args(Channel)
CLICK_TYPES: tuple[str, ...] = get_args(ClickType)
PAGE_TYPES: tuple[str, ...] = get_args(PageType)
ENTITY_TYPES: tuple[str, ...] = get_args(EntityType)
OBJECT_TYPES: tuple[str, ...] = get_args(ObjectType)

MAX_TEXT = 2048  # characters; resolved bid ids of 239 are documented, so 128 would not do
MAX_INTEGER = 2**31 - 1
MAX_PRICE = Decimal(10) ** 12
PRICE_PLACES = 12  # decimal places; what goes beyond is the noise of a division or of a float
MAX_ITEMS = 5000  # lines of a purchase, which make about 350 kB of JSON, or of a cart
MAX_CATEGORIES = 100
MAX_TEXTS = 48 * 1024  # bytes of all the texts of a list, so that no page view fills a request
MAX_PURCHASE = 512 * 1024  # bytes of a purchase's JSON: what a request's body may have

TEXT_RULE = f"it must be text of 1 to {MAX_TEXT} characters"
UTF8_RULE = "it must be text that UTF-8 can encode (it has a lone surrogate)"
INTEGER_RULE = f"it must be a whole number from 1 to {MAX_INTEGER}"
PRICE_RULE = f"it must be a number above 0 and below {MAX_PRICE}"
TIME_RULE = "it must be a datetime"

# Of our own, because a shop may have set a context with a low precision or with other traps.
_ROUNDING = Context(prec=50, rounding=ROUND_HALF_UP, traps=[])
_PRICE_STEP = Decimal(1).scaleb(-PRICE_PLACES)
_MINUTE = timedelta(minutes=1)
# In a tuple, because libraries that freeze time replace the name ``datetime`` in every module.
_TIME_TYPES = (datetime,)


def clean_text(event: Any, name: str, field: str) -> None:
    """Require text of 1 to 2048 characters that UTF-8 can encode."""
    force_setattr(event, name, get_text(getattr(event, name), field))


def get_text(value: object, field: str) -> str:
    """Return the text that ``value`` is. Raises InvalidEvent for what is none that fits."""
    if type(value) is str and 0 < len(value) <= MAX_TEXT and value.isascii():
        return value
    text = get_exact_text(value)
    if text is None:
        raise InvalidEvent(field, value, TEXT_RULE)
    if not 0 < len(text) <= MAX_TEXT:
        raise InvalidEvent(field, text, f"{TEXT_RULE} (it has {len(text)})")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(field, text, UTF8_RULE) from None
    return text


def get_exact_text(value: object) -> str | None:
    """Return text as an exact ``str``, None for anything else.

    msgspec encodes neither a SafeString nor a member of a TextChoices, and lazy text may change.
    """
    if issubclass(type(value), str):
        return str.__str__(value)  # its own __str__ may say something else, as an Enum's does
    # Besides what reverse_lazy() returns, a SimpleLazyObject: it only claims to be a str.
    return str(value) if isinstance(value, str | Promise) else None


def clean_texts(event: Any, name: str, field: str, most: int) -> None:
    """Require one text or several, ``most`` and 48 KiB at most; keep them as a tuple."""
    value = getattr(event, name)
    given: Iterable[object]
    if type(value) is list:
        given = value  # the other questions take as long as all the rest
    elif isinstance(value, str | Promise):
        given = (value,)
    elif isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        given = value
    else:
        raise InvalidEvent(field, value, "it must be one text or a list of texts")
    # No further than it takes to know that they are too many: a generator may have no end.
    texts = tuple([get_text(text, field) for text in islice(given, most + 1)])
    if not texts:
        raise InvalidEvent(field, value, "it must hold at least one text; leave it out for none")
    if len(texts) > most:
        raise InvalidEvent(field, value, f"it must hold at most {most} texts")
    size = len("".join(texts).encode())
    if size > MAX_TEXTS:
        rule = f"it must have at most {MAX_TEXTS} bytes of text (it has {size})"
        raise InvalidEvent(field, value, rule)
    force_setattr(event, name, texts)


def clean_integer(event: Any, name: str, field: str) -> None:
    """Require a whole number of at least 1; a bool is none."""
    value = getattr(event, name)
    if not issubclass(type(value), int) or isinstance(value, bool) or value > MAX_INTEGER:
        raise InvalidEvent(field, value, INTEGER_RULE)
    if value < 1:
        raise InvalidEvent(field, value, "it must be 1 or more")
    force_setattr(event, name, int.__int__(value))


def clean_choice(event: Any, name: str, field: str, choices: tuple[str, ...]) -> None:
    """Require one of ``choices``."""
    value = getattr(event, name)
    text = get_exact_text(value)
    if text not in choices:
        raise InvalidEvent(field, value, f"it must be one of {', '.join(choices)}")
    force_setattr(event, name, text)


def clean_struct(event: Any, name: str, field: str, kind: type) -> None:
    """Require a ``kind`` itself: a subclass may have fields that Topsort refuses."""
    value = getattr(event, name)
    if type(value) is not kind:
        raise InvalidEvent(field, value, f"it must be an instance of {kind.__name__} itself")


def clean_price(event: Any, name: str, field: str) -> None:
    """Require a number above 0; keep it as a Decimal of at most 12 decimal places.

    Of a float its shortest digits count, not its binary value: 12.95 becomes Decimal("12.95"), and
    0.1 + 0.2 becomes Decimal("0.3").
    """
    value = getattr(event, name)
    price = get_decimal(value)
    if price is None or not price.is_finite() or not 0 < price < MAX_PRICE:
        raise InvalidEvent(field, value, PRICE_RULE)
    exponent = price.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > PRICE_PLACES:
        price = price.quantize(_PRICE_STEP, context=_ROUNDING).normalize(_ROUNDING)
        if not 0 < price < MAX_PRICE:
            raise InvalidEvent(field, value, f"{PRICE_RULE}, of {PRICE_PLACES} decimal places")
    force_setattr(event, name, price)


def get_decimal(value: Any) -> Decimal | None:
    """Return a Decimal, an int or a float as an exact Decimal, None for anything else."""
    # A subclass, such as a Money, may bring a repr or an arithmetic of its own.
    if issubclass(type(value), float):
        return Decimal(float.__repr__(value))
    if issubclass(type(value), int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    return None


def clean_time(event: Any, name: str, field: str) -> None:
    """Require a datetime; a naive one is taken in the current time zone.

    Topsort refuses a time without an offset (the ``occurredAt`` schema). The offset is kept and not
    the zone, so that the time is the same at each attempt to send it, wherever that is made.
    """
    value = getattr(event, name)
    if not isinstance(value, datetime):
        raise InvalidEvent(field, value, TIME_RULE)
    moment, offset = value, value.utcoffset()
    if offset is None:
        moment = make_aware(value.replace(tzinfo=None))
        offset = moment.utcoffset() or timedelta()
    try:
        plain = _build_time(moment, offset)
    except (OverflowError, ValueError):
        rule = f"{TIME_RULE} whose offset from UTC has whole minutes"
        raise InvalidEvent(field, value, rule) from None
    force_setattr(event, name, plain)


def _build_time(moment: datetime, offset: timedelta) -> datetime:
    """Return an exact datetime with a fixed offset of whole minutes."""
    seconds = offset % _MINUTE
    if seconds:
        # RFC 3339 has no seconds in an offset; places had, before there were time zones.
        moment = moment.replace(tzinfo=None) + (_MINUTE - seconds)
        offset += _MINUTE - seconds
    # msgspec encodes no subclass of datetime, such as pandas and libraries that freeze time have.
    date = (moment.year, moment.month, moment.day)
    time = (moment.hour, moment.minute, moment.second, moment.microsecond)
    return _TIME_TYPES[0](*date, *time, timezone(offset))
