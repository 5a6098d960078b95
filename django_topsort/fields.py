"""What a field of an event may hold: the checks that ``events.py`` is built of.

Each takes the event, the attribute and the field's dotted name, replaces the value by its plain form
where it has one, and raises InvalidEvent where it has none. Topsort's schema sets no upper bounds;
those here keep an event within what a queue and a request body can be planned for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from django.utils import timezone
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
MAX_PRICE_DIGITS = 12  # decimal places
MAX_ITEMS = 5000  # lines of a purchase, which make about 350 kB of JSON
MAX_CATEGORIES = 100

TEXT_RULE = f"it must be text of 1 to {MAX_TEXT} characters"
INTEGER_RULE = f"it must be a whole number from 1 to {MAX_INTEGER}"
PRICE_RULE = f"it must be a number above 0 and below {MAX_PRICE}"
TIME_RULE = "it must be a datetime"


def clean_text(event: Any, name: str, field: str) -> None:
    """Require text of 1 to 2048 characters that UTF-8 can encode."""
    value = getattr(event, name)
    plain = get_plain_text(value, field)
    if plain is not value:
        force_setattr(event, name, plain)


def get_plain_text(value: object, field: str) -> str:
    """Return ``value`` as an exact ``str``: msgspec encodes no SafeString and no TextChoices."""
    if not isinstance(value, str):
        raise InvalidEvent(field, value, TEXT_RULE)
    plain = value if type(value) is str else str.__str__(value)
    if not 0 < len(plain) <= MAX_TEXT:
        raise InvalidEvent(field, plain, f"{TEXT_RULE} (it has {len(plain)})")
    if not plain.isascii():
        try:
            plain.encode()
        except UnicodeEncodeError:
            rule = "it must be text that UTF-8 can encode (it has a lone surrogate)"
            raise InvalidEvent(field, plain, rule) from None
    return plain


def clean_texts(event: Any, name: str, field: str) -> None:
    """Require one text or several, at least one; keep them as a tuple."""
    value = getattr(event, name)
    if isinstance(value, str):
        value = (value,)
    elif not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        raise InvalidEvent(field, value, "it must be one text or a list of texts")
    plain = tuple(get_plain_text(text, field) for text in value)
    if not 0 < len(plain) <= MAX_CATEGORIES:
        rule = (
            f"it must hold 1 to {MAX_CATEGORIES} texts (it has {len(plain)}); leave it out for none"
        )
        raise InvalidEvent(field, value, rule)
    force_setattr(event, name, plain)


def clean_integer(event: Any, name: str, field: str) -> None:
    """Require a whole number of at least 1; a bool is none."""
    value = getattr(event, name)
    if type(value) is not int or not 1 <= value <= MAX_INTEGER:
        if type(value) is int and value < 1:
            raise InvalidEvent(field, value, "it must be 1 or more")
        raise InvalidEvent(field, value, INTEGER_RULE)


def clean_choice(event: Any, name: str, field: str, choices: tuple[str, ...]) -> None:
    """Require one of ``choices``."""
    value = getattr(event, name)
    if value not in choices or not isinstance(value, str):
        rule = f"it must be one of {', '.join(choices)}"
        raise InvalidEvent(field, value, rule)
    if type(value) is not str:
        force_setattr(event, name, str.__str__(value))


def clean_struct(event: Any, name: str, field: str, kind: type) -> None:
    """Require an instance of ``kind``."""
    value = getattr(event, name)
    if not isinstance(value, kind):
        raise InvalidEvent(field, value, f"it must be a {kind.__name__}")


def clean_price(event: Any, name: str, field: str) -> None:
    """Require a number above 0; keep it as the Decimal that its shortest form writes.

    A float of 12.95 becomes Decimal("12.95"): its digits go out, not its binary value's.
    """
    value = getattr(event, name)
    if type(value) is not Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise InvalidEvent(field, value, PRICE_RULE)
        # A subclass, such as a Money, may bring a repr or an arithmetic of its own.
        value = (
            Decimal(value) if isinstance(value, int | Decimal) else Decimal(float.__repr__(value))
        )
        force_setattr(event, name, value)
    if not value.is_finite() or not 0 < value < MAX_PRICE:
        raise InvalidEvent(field, value, PRICE_RULE)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_PRICE_DIGITS:
        rule = f"it must have at most {MAX_PRICE_DIGITS} decimal places; round it"
        raise InvalidEvent(field, value, rule)


def clean_time(event: Any, name: str, field: str) -> None:
    """Require a datetime; a naive one is taken in the current time zone.

    Topsort refuses a time without an offset (the ``occurredAt`` schema).
    """
    value = getattr(event, name)
    if not isinstance(value, datetime):
        raise InvalidEvent(field, value, TIME_RULE)
    if value.tzinfo is None or value.utcoffset() is None:
        force_setattr(event, name, timezone.make_aware(value.replace(tzinfo=None)))
