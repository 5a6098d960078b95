"""Events are valid or are not built, and do not change afterwards."""

from __future__ import annotations

import copy
import enum
import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, NoReturn
from unittest import mock
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.db import models
from django.test import override_settings
from django.urls import reverse_lazy
from django.utils import timezone as django_timezone
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from hypothesis import given

from django_topsort.events import (
    EVENT_KINDS,
    Click,
    DeviceType,
    Entity,
    Event,
    Impression,
    InteractionObject,
    Page,
    PageView,
    Placement,
    Purchase,
    PurchaseItem,
)
from django_topsort.exceptions import InvalidEvent
from django_topsort.testing.rules import load_schema
from tests.strategies import build_full_events, events

Build = Callable[..., Any]


def build_impression(**fields: Any) -> Impression:
    return Impression(**{"opaque_user_id": "u", "resolved_bid_id": "b", **fields})


def build_click(**fields: Any) -> Click:
    return Click(**{"opaque_user_id": "u", "resolved_bid_id": "b", **fields})


def build_purchase(**fields: Any) -> Purchase:
    return Purchase(**{"opaque_user_id": "u", "items": [build_item()], **fields})


def build_pageview(**fields: Any) -> PageView:
    return PageView(**{"opaque_user_id": "u", "page": build_page(), **fields})


def build_placement(**fields: Any) -> Placement:
    return Placement(**{"path": "/", **fields})


def build_page(**fields: Any) -> Page:
    return Page(**{"type": "PDP", "page_id": "/shoes/1", **fields})


def build_entity(**fields: Any) -> Entity:
    return Entity(**{"type": "product", "id": "shoe-1", **fields})


def build_object(**fields: Any) -> InteractionObject:
    return InteractionObject(**{"type": "listing", **fields})


def build_item(**fields: Any) -> PurchaseItem:
    return PurchaseItem(**{"product_id": "shoe-1", "unit_price": Decimal("12.95"), **fields})


BUILDERS: dict[Build, str] = {
    build_impression: "",
    build_click: "",
    build_purchase: "",
    build_pageview: "",
    build_placement: "placement.",
    build_page: "page.",
    build_entity: "entity.",
    build_object: "object.",
    build_item: "items.",
}
TEXTS = [
    *((build, name) for build in list(BUILDERS)[:4] for name in ("id", "opaque_user_id")),
    *(
        (build, name)
        for build in (build_impression, build_click)
        for name in ("resolved_bid_id", "external_campaign_id", "external_vendor_id")
    ),
    (build_placement, "path"),
    (build_placement, "product_id"),
    (build_placement, "search_query"),
    (build_page, "page_id"),
    (build_page, "value"),
    (build_entity, "id"),
    (build_object, "asset_id"),
    (build_item, "product_id"),
    (build_item, "vendor_id"),
]
LISTS = [
    (build_placement, "category_ids"),
    (lambda **fields: build_page(type="cart", **fields), "value"),
]
INTEGERS = [
    (build_placement, "position"),
    (build_placement, "page"),
    (build_placement, "page_size"),
    (build_item, "quantity"),
]
CHOICES = [
    *((build, "device_type", ("desktop", "mobile")) for build in list(BUILDERS)[:4]),
    *((build, "channel", ("onsite", "offsite", "instore")) for build in list(BUILDERS)[:4]),
    (build_click, "click_type", ("product", "like", "add-to-cart")),
    (build_object, "click_type", ("product", "like", "add-to-cart")),
    (build_object, "type", ("listing", "banner")),
    (build_entity, "type", ("product", "vendor")),
    (build_page, "type", ("home", "category", "PDP", "search", "cart", "other")),
]
REQUIRED = {
    build_impression: {"opaque_user_id"},
    build_click: {"opaque_user_id"},
    build_purchase: {"opaque_user_id", "items"},
    build_pageview: {"opaque_user_id", "page"},
    build_placement: {"path"},
    build_page: {"type", "page_id"},
    build_entity: {"type", "id"},
    build_object: {"type"},
    build_item: {"product_id", "unit_price"},
}
FILLED_IN = {"id", "occurred_at"}


class Words(models.TextChoices):
    DESKTOP = "desktop", "A desktop"
    ONSITE = "onsite"
    PRODUCT = "product"


class Plain(str, enum.Enum):  # noqa: UP042 - its str() is "Plain.WORD", as in older code
    WORD = "word"


class Numbers(models.IntegerChoices):
    THREE = 3


class Unprintable:
    def __repr__(self) -> NoReturn:
        raise RuntimeError("it would ask a database")


def refuse(build: Build, name: str, value: object, prefix: str | None = None) -> InvalidEvent:
    """Return the error with which ``value`` is refused; it names the field."""
    with pytest.raises(InvalidEvent) as caught:
        build(**{name: value})
    error = caught.value
    assert error.field == f"{BUILDERS.get(build, prefix or '')}{name}"
    assert str(error).startswith(f"{error.field}: ")
    assert " is not allowed, it must " in str(error)
    return error


def name_case(value: object) -> str:
    if callable(value):
        return getattr(value, "__name__", "")
    if type(value) is int and abs(value) > 10**9:
        return "huge"
    # Short, so that no address in memory is in it: test processes compare these names.
    return f"{value!r:.20}"


# Texts


@pytest.mark.parametrize(("build", "name"), TEXTS)
@pytest.mark.parametrize(
    "text", ["x", "x" * 2048, "ü" * 2048, "\0", "日本", "\U0001f45f", " ", "'\"\\</script>", "é"]
)
def test_text_is_kept_as_it_is(build: Build, name: str, text: str) -> None:
    assert getattr(build(**{name: text}), name) == text


@pytest.mark.parametrize(("build", "name"), TEXTS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (SafeString("<b>"), "<b>"),
        (Words.PRODUCT, "product"),
        (Plain.WORD, "word"),
        (gettext_lazy("Shoes"), "Shoes"),
        (reverse_lazy("django_topsort:click", args=["t"]), "/topsort/click/t"),
        (SimpleLazyObject(lambda: "late"), "late"),
    ],
    ids=["SafeString", "TextChoices", "Enum", "gettext_lazy", "reverse_lazy", "SimpleLazyObject"],
)
def test_text_of_another_class_becomes_plain(
    build: Build, name: str, given: object, expected: str
) -> None:
    kept = getattr(build(**{name: given}), name)

    assert type(kept) is str
    assert kept == expected


@pytest.mark.parametrize(("build", "name"), TEXTS)
@pytest.mark.parametrize(
    "value",
    [b"x", True, 3, 2.5, math.nan, math.inf, 10**200, 10**5000, UUID(int=1), Decimal(1), object()],
    ids=name_case,
)
def test_text_of_another_type_is_refused(build: Build, name: str, value: object) -> None:
    error = refuse(build, name, value)

    assert error.value is value
    if name != "value":
        assert error.rule == "it must be text of 1 to 2048 characters"


@pytest.mark.parametrize(("build", "name"), TEXTS)
@pytest.mark.parametrize("value", ["", SafeString(""), gettext_lazy(""), "x" * 2049, "ü" * 2049])
def test_text_of_wrong_length_is_refused_with_its_length(
    build: Build, name: str, value: str
) -> None:
    error = refuse(build, name, value)

    assert error.rule == f"it must be text of 1 to 2048 characters (it has {len(value)})"


@pytest.mark.parametrize(("build", "name"), TEXTS)
@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_text_with_a_lone_surrogate_is_refused(build: Build, name: str, value: str) -> None:
    error = refuse(build, name, value)

    assert error.rule == "it must be text that UTF-8 can encode (it has a lone surrogate)"
    str(error).encode()


def test_error_shows_field_value_and_rule() -> None:
    error = refuse(build_placement, "position", 0)

    assert str(error) == "placement.position: 0 is not allowed, it must be 1 or more"
    assert (error.field, error.value, error.rule) == (
        "placement.position",
        0,
        "it must be 1 or more",
    )


def test_error_shows_the_beginning_of_a_long_value() -> None:
    assert len(str(refuse(build_impression, "id", "x" * 100_000))) < 200


def test_error_shows_the_type_of_what_cannot_be_shown() -> None:
    assert "<Unprintable> is not allowed" in str(refuse(build_impression, "id", Unprintable()))


def test_error_is_a_value_error_that_pickles() -> None:
    error = refuse(build_placement, "position", 0)

    assert isinstance(error, ValueError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# Lists of texts


@pytest.mark.parametrize(("build", "name"), LISTS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a"], ("a",)),
        (("a", "b"), ("a", "b")),
        ([SafeString("a"), Words.PRODUCT], ("a", "product")),
        ({"a": 1}.keys(), ("a",)),
        (frozenset({"a"}), ("a",)),
        (SimpleLazyObject(lambda: ["a", "b"]), ("a", "b")),
    ],
)
def test_several_texts_are_kept_as_a_tuple(
    build: Build, name: str, given: object, expected: tuple[str, ...]
) -> None:
    kept = getattr(build(**{name: given}), name)

    assert kept == expected
    assert [type(text) for text in kept] == [str] * len(expected)


def test_texts_of_a_generator_are_kept() -> None:
    assert build_placement(category_ids=(text for text in "ab")).category_ids == ("a", "b")


@pytest.mark.parametrize("category", ["shoes", SafeString("shoes"), gettext_lazy("shoes")])
def test_one_category_is_kept_as_a_tuple(category: object) -> None:
    assert build_placement(category_ids=category).category_ids == ("shoes",)


def test_one_text_of_a_cart_stays_one_text() -> None:
    assert build_page(type="cart", value="shoe-1").value == "shoe-1"


@pytest.mark.parametrize(("build", "name"), LISTS)
@pytest.mark.parametrize("value", [3, 2.5, True, b"ab", {"a": 1}, object()], ids=name_case)
def test_texts_of_another_type_are_refused(build: Build, name: str, value: object) -> None:
    error = refuse(build, name, value, "page.")

    assert error.rule == "it must be one text or a list of texts"


@pytest.mark.parametrize(("build", "name"), LISTS)
@pytest.mark.parametrize("value", [[], (), set(), iter(())])
def test_no_texts_are_refused(build: Build, name: str, value: object) -> None:
    error = refuse(build, name, value, "page.")

    assert error.rule == "it must hold at least one text; leave it out for none"


@pytest.mark.parametrize(("build", "name"), LISTS)
@pytest.mark.parametrize("value", [["a", None], [""], [["a"]], [b"a"], ["\ud800"], bytearray(b"a")])
def test_a_wrong_text_among_several_is_refused(build: Build, name: str, value: object) -> None:
    assert refuse(build, name, value, "page.").rule.startswith("it must be text")


@pytest.mark.parametrize(("build", "name", "most"), [(*LISTS[0], 100), (*LISTS[1], 5000)])
def test_too_many_texts_are_refused(build: Build, name: str, most: int) -> None:
    assert len(getattr(build(**{name: ["a"] * most}), name)) == most

    assert refuse(build, name, ["a"] * (most + 1), "page.").rule == (
        f"it must hold at most {most} texts"
    )


def test_texts_without_end_are_refused() -> None:
    error = refuse(build_placement, "category_ids", itertools.repeat("a"))

    assert error.rule == "it must hold at most 100 texts"


@pytest.mark.parametrize("page_type", ["home", "category", "PDP", "search", "other"])
def test_list_as_value_of_a_page_that_is_no_cart_is_refused(page_type: str) -> None:
    with pytest.raises(InvalidEvent, match=r"page\.value: .* only a page of type 'cart' has a"):
        build_page(type=page_type, value=["shoe-1"])


# Whole numbers


@pytest.mark.parametrize(("build", "name"), INTEGERS)
@pytest.mark.parametrize("value", [1, 2, 2**31 - 1, Numbers.THREE, enum.IntEnum("N", "A").A])  # type: ignore[attr-defined]
def test_whole_number_is_kept_plain(build: Build, name: str, value: int) -> None:
    kept = getattr(build(**{name: value}), name)

    assert type(kept) is int
    assert kept == value


@pytest.mark.parametrize(("build", "name"), INTEGERS)
@pytest.mark.parametrize("value", [0, -1, -(10**200)], ids=name_case)
def test_whole_number_below_one_is_refused(build: Build, name: str, value: int) -> None:
    assert refuse(build, name, value).rule == "it must be 1 or more"


@pytest.mark.parametrize(("build", "name"), INTEGERS)
@pytest.mark.parametrize(
    "value",
    [
        *(True, False, 1.0, math.nan, math.inf, -math.inf, "1", b"1", "", Decimal(1), Fraction(1)),
        *(2**31, 10**200, 10**5000, [1], {}, mock.ANY, SimpleLazyObject(lambda: 1)),
    ],
    ids=name_case,
)
def test_what_is_no_whole_number_is_refused(build: Build, name: str, value: object) -> None:
    assert refuse(build, name, value).rule == "it must be a whole number from 1 to 2147483647"


# Choices


@pytest.mark.parametrize(("build", "name", "allowed"), CHOICES)
def test_each_choice_is_allowed(build: Build, name: str, allowed: tuple[str, ...]) -> None:
    assert [getattr(build(**{name: choice}), name) for choice in allowed] == list(allowed)


@pytest.mark.parametrize(("build", "name", "allowed"), CHOICES)
def test_choice_of_another_class_becomes_plain(
    build: Build, name: str, allowed: tuple[str, ...]
) -> None:
    make: Any = models.TextChoices
    members = make("Members", [(word.upper(), word) for word in allowed])
    for value in (*members, *map(SafeString, allowed), SimpleLazyObject(lambda: allowed[0])):
        kept = getattr(build(**{name: value}), name)
        assert type(kept) is str
        assert kept in allowed


@pytest.mark.parametrize(("build", "name", "allowed"), CHOICES)
@pytest.mark.parametrize(
    "value",
    [
        *("", "tablet", "DESKTOP", "brand", "add_to_cart", "pdp", "x" * 5000, "\ud800", "onsite "),
        *(b"desktop", True, 1, math.nan, ["desktop"], {}, mock.ANY, Unprintable()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_another_choice_is_refused_with_what_there_is(
    build: Build, name: str, allowed: tuple[str, ...], value: object
) -> None:
    assert refuse(build, name, value).rule == f"it must be one of {', '.join(allowed)}"


# Prices


class Money(Decimal):
    """A Decimal with a text and an arithmetic of its own."""

    def __str__(self) -> str:
        return "€ 1"

    __repr__ = __str__

    def __lt__(self, other: object) -> NoReturn:
        raise TypeError("another currency")

    __gt__ = __le__ = __ge__ = __lt__


class Float64(float):
    """As numpy has it: a float whose repr is no number."""

    def __repr__(self) -> str:
        return f"float64({float(self)})"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Decimal("12.95"), "12.95"),
        (Decimal("12.950"), "12.950"),
        (Decimal("1E+2"), "1E+2"),
        (Decimal("1E-12"), "1E-12"),
        (Decimal("999999999999.999999999999"), "999999999999.999999999999"),
        (12.95, "12.95"),
        (0.1 + 0.2, "0.3"),
        (1.1 * 3, "3.3"),
        (1e-7, "1E-7"),
        (1e11, "100000000000.0"),
        (123456789012.12, "123456789012.12"),
        (3, "3"),
        (10**12 - 1, "999999999999"),
        (Numbers.THREE, "3"),
        (Money("1.5"), "1.5"),
        (Float64(12.95), "12.95"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1"),
        (Decimal(10) / Decimal(3), "3.333333333333"),
        (Decimal("0.0000000000005"), "1E-12"),
        (Decimal("5.00000000000000"), "5"),
    ],
    ids=name_case,
)
def test_price_is_kept_as_the_digits_that_were_meant(given: Any, expected: str) -> None:
    price = build_item(unit_price=given).unit_price

    assert type(price) is Decimal
    assert str(price) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 0.0, -0.0, -12.95, 10**12, 10**200, 10**5000, 1e12, 1e300, 5e-324),
        *(math.nan, math.inf, -math.inf, True, False, None, "12.95", "", b"1", 1j, Fraction(1, 2)),
        *(Decimal(0), Decimal("-0"), Decimal(-1), Decimal(10) ** 200, Decimal("1E+999999")),
        *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")),
        *(Decimal("1E-13"), Decimal("999999999999.9999999999999"), Decimal("1E-999999")),
        *(Money("NaN"), [1], {}, mock.ANY, SimpleLazyObject(lambda: Decimal(1))),
    ],
    ids=name_case,
)
def test_what_is_no_price_is_refused(value: object) -> None:
    error = refuse(build_item, "unit_price", value)

    assert error.value is value
    assert error.rule.startswith("it must be a number above 0 and below 1000000000000")


def test_price_of_a_money_is_not_compared_in_its_own_way() -> None:
    price = Money("12.95")
    with pytest.raises(TypeError, match="another currency"):
        assert price > 0

    assert build_item(unit_price=price).unit_price == Decimal("12.95")


def test_price_is_the_same_in_any_decimal_context() -> None:
    third = Decimal(100) / Decimal(3)
    with localcontext(prec=3) as context:
        for signal in context.traps:
            context.traps[signal] = True
        items = [
            build_item(unit_price=price) for price in (third, Decimal("1234567.89"), 0.1 + 0.2)
        ]

    assert [str(item.unit_price) for item in items] == ["33.333333333333", "1234567.89", "0.3"]


# Times

BERLIN = ZoneInfo("Europe/Berlin")
EVENTS = [build_impression, build_click, build_purchase, build_pageview]


class Later(datetime):
    """A datetime's subclass, as libraries that freeze time and data frames have."""


class Nowhere(tzinfo):
    """A time zone that has no offset."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


@pytest.fixture(params=EVENTS, ids=name_case)
def build_event(request: pytest.FixtureRequest) -> Build:
    build: Build = request.param
    return build


def get_moment(**fields: Any) -> datetime:
    return build_impression(**fields).occurred_at


def test_time_is_now_when_absent(build_event: Build) -> None:
    before = datetime.now(UTC)
    moment = build_event().occurred_at

    assert before <= moment <= datetime.now(UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (datetime(2026, 7, 1, 12, 30, 15, 250, UTC), "2026-07-01T12:30:15.000250+00:00"),
        (datetime(2026, 7, 1, 12, tzinfo=BERLIN), "2026-07-01T12:00:00+02:00"),
        (
            datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
            "2026-07-01T12:00:00-05:30",
        ),
        # The two half past two of the night in which summer time ends, and the one that never was.
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), "2026-10-25T02:30:00+02:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "2026-10-25T02:30:00+01:00"),
        (datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), "2026-03-29T02:30:00+01:00"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999+00:00"),
        (datetime.max.replace(tzinfo=BERLIN), "9999-12-31T23:59:59.999999+01:00"),
        (datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00+00:00"),
        # RFC 3339 has no seconds in an offset: the same moment, written with a whole minute.
        (datetime(1880, 1, 1, tzinfo=BERLIN), "1880-01-01T00:00:32+00:54"),
        (datetime(1800, 1, 1, tzinfo=ZoneInfo("America/New_York")), "1800-01-01T00:00:02-04:56"),
        (Later(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01T12:00:00+00:00"),
        (Later(2026, 7, 1, 12, tzinfo=BERLIN), "2026-07-01T12:00:00+02:00"),
        (SimpleLazyObject(lambda: datetime(2026, 7, 1, tzinfo=UTC)), "2026-07-01T00:00:00+00:00"),
    ],
)
def test_aware_time_is_kept_with_its_offset(
    given: datetime, expected: str, build_event: Build
) -> None:
    moment = build_event(occurred_at=given).occurred_at

    assert moment.isoformat() == expected
    assert type(moment) is datetime
    assert type(moment.tzinfo) is timezone  # no zone, whose rules may change while it is sent


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (datetime(2026, 7, 1, 12), "2026-07-01T12:00:00+02:00"),  # noqa: DTZ001
        (datetime(2026, 12, 1, 12), "2026-12-01T12:00:00+01:00"),  # noqa: DTZ001
        (datetime(2026, 10, 25, 2, 30), "2026-10-25T02:30:00+02:00"),  # noqa: DTZ001
        (datetime(2026, 10, 25, 2, 30, fold=1), "2026-10-25T02:30:00+01:00"),  # noqa: DTZ001
        (datetime(2026, 3, 29, 2, 30), "2026-03-29T02:30:00+01:00"),  # noqa: DTZ001
        (Later(2026, 7, 1, 12), "2026-07-01T12:00:00+02:00"),
        (datetime(2026, 7, 1, 12, tzinfo=Nowhere()), "2026-07-01T12:00:00+02:00"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999), "9999-12-31T23:59:59.999999+01:00"),  # noqa: DTZ001
        (datetime(1, 1, 1), "0001-01-01T00:00:32+00:54"),  # noqa: DTZ001
    ],
)
def test_naive_time_is_taken_in_the_projects_time_zone(
    given: datetime, expected: str, use_tz: bool
) -> None:
    with override_settings(USE_TZ=use_tz, TIME_ZONE="Europe/Berlin"):
        assert get_moment(occurred_at=given).isoformat() == expected


def test_naive_time_is_taken_in_the_current_time_zone() -> None:
    with django_timezone.override("America/New_York"):
        moment = get_moment(occurred_at=datetime(2026, 7, 1, 12))  # noqa: DTZ001

    assert moment.isoformat() == "2026-07-01T12:00:00-04:00"


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"2026-07-01", "2026-07-01T12:00:00Z", True, 0, 1_750_000_000, math.nan, math.inf),
        *(date(2026, 7, 1), datetime(2026, 7, 1).time(), 10**200, mock.ANY, object()),  # noqa: DTZ001
    ],
    ids=name_case,
)
def test_what_is_no_time_is_refused(value: object, build_event: Build) -> None:
    assert refuse(build_event, "occurred_at", value).rule == "it must be a datetime"


@pytest.mark.parametrize(
    "value",
    [
        datetime.max.replace(tzinfo=timezone(timedelta(seconds=30))),
        datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=23, minutes=59, seconds=30))),
    ],
)
def test_time_that_rfc_3339_cannot_write_is_refused(value: datetime) -> None:
    assert refuse(build_impression, "occurred_at", value).rule == (
        "it must be a datetime whose offset from UTC has whole minutes"
    )


# Parts of events


class OwnEntity(Entity, frozen=True):
    colour: str = "red"


class OwnItem(PurchaseItem, frozen=True):
    colour: str = "red"


STRUCTS = [
    *(
        (build, name, kind)
        for build in (build_impression, build_click)
        for name, kind in (
            ("entity", Entity),
            ("placement", Placement),
            ("page", Page),
            ("object", InteractionObject),
            ("additional_attribution", Entity),
        )
    ),
    (build_pageview, "page", Page),
]


@pytest.mark.parametrize(("build", "name", "kind"), STRUCTS)
@pytest.mark.parametrize(
    "value",
    [
        {"id": "shoe-1", "type": "product"},
        *("shoe-1", b"", True, 1, math.nan, [], mock.ANY, build_item()),
        OwnEntity(id="shoe-1", type="product"),
        SimpleLazyObject(build_entity),
        SimpleLazyObject(build_page),
        SimpleLazyObject(build_placement),
    ],
    ids=lambda value: type(value).__name__,
)
def test_part_of_another_class_is_refused(
    build: Build, name: str, kind: type, value: object
) -> None:
    assert refuse(build, name, value).rule == f"it must be an instance of {kind.__name__} itself"


@pytest.mark.parametrize(("build", "name", "kind"), STRUCTS)
def test_part_of_its_class_is_kept(build: Build, name: str, kind: type) -> None:
    builders: dict[type, Build] = {
        Entity: build_entity,
        InteractionObject: build_object,
        Page: build_page,
        Placement: build_placement,
    }
    part = builders[kind]()

    assert getattr(build(**{name: part}), name) is part


@pytest.mark.parametrize("build", [Impression, Click])
def test_interaction_with_neither_bid_nor_entity_is_refused(build: type[Event]) -> None:
    with pytest.raises(InvalidEvent) as caught:
        build(opaque_user_id="u")  # type: ignore[call-arg]

    assert str(caught.value) == (
        "resolved_bid_id: None is not allowed, it must be given where there is no entity"
    )


@pytest.mark.parametrize("build", [build_impression, build_click])
def test_interaction_with_both_bid_and_entity_is_built(build: Build) -> None:
    entity = build_entity()

    assert (build(entity=entity).resolved_bid_id, build(entity=entity).entity) == ("b", entity)


@pytest.mark.parametrize("build", [build_impression, build_click])
def test_additional_attribution_without_a_bid_is_refused(build: Build) -> None:
    with pytest.raises(InvalidEvent, match=r"additional_attribution: .* with a resolved_bid_id"):
        build(resolved_bid_id=None, entity=build_entity(), additional_attribution=build_entity())


def test_empty_bid_is_refused_even_beside_an_entity() -> None:
    with pytest.raises(InvalidEvent, match=r"resolved_bid_id: '' is not allowed"):
        build_impression(resolved_bid_id="", entity=build_entity())


@pytest.mark.parametrize(
    "value",
    [None, b"", True, 0, math.nan, "item", {}, set(), [], (), iter([build_item()]), build_item()],
    ids=lambda value: type(value).__name__,
)
def test_purchase_without_a_list_of_items_is_refused(value: object) -> None:
    error = refuse(build_purchase, "items", value)

    assert error.rule == "it must be a list of 1 to 5000 PurchaseItems"


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        "item",
        OwnItem(product_id="p", unit_price=Decimal(1)),
        SimpleLazyObject(build_item),
    ],
    ids=lambda value: type(value).__name__,
)
def test_purchase_with_something_else_among_its_items_is_refused(item: object) -> None:
    error = refuse(build_purchase, "items", [build_item(), item])

    assert error.value is item
    assert error.rule == "it must be an instance of PurchaseItem itself"


def test_purchase_makes_at_most_512_kib_of_json() -> None:
    item = build_item(product_id="\u00fc" * 2048)  # 4 KiB of UTF-8
    assert len(build_purchase(items=[item] * 120).items) == 120

    error = refuse(build_purchase, "items", [item] * 130)

    assert error.rule.startswith("it must make at most 524288 bytes of JSON (it makes 53")


@pytest.mark.parametrize("letter", ["x", "\u00fc", "\U0001f600"])
def test_texts_of_a_list_have_at_most_48_kib_in_all(letter: str) -> None:
    fits = [letter * 1024] * (48 // len(letter.encode()))
    assert build_placement(category_ids=fits).category_ids == tuple(fits)

    error = refuse(build_placement, "category_ids", [*fits, "x"])

    assert error.rule == "it must have at most 49152 bytes of text (it has 49153)"


def test_purchase_has_at_most_5000_items() -> None:
    assert len(build_purchase(items=[build_item()] * 5000).items) == 5000

    error = refuse(build_purchase, "items", [build_item()] * 5001)

    assert error.rule == "it must be a list of 1 to 5000 PurchaseItems"


# What is absent, unknown, filled in


@pytest.mark.parametrize("build", BUILDERS)
def test_fields_are_those_of_the_schema(build: Build) -> None:
    schema = load_schema()["properties"]
    click = schema["clicks"]["items"]["properties"]
    purchase = schema["purchases"]["items"]["properties"]
    theirs = {
        build_impression: schema["impressions"]["items"],
        build_click: schema["clicks"]["items"],
        build_purchase: schema["purchases"]["items"],
        build_pageview: schema["pageviews"]["items"],
        build_placement: click["placement"],
        build_page: click["page"],
        build_entity: click["entity"],
        build_object: click["object"],
        build_item: purchase["items"]["items"],
    }[build]
    ours = type(build())

    assert set(ours.__struct_encode_fields__) == set(theirs["properties"])
    wire_names = dict(zip(ours.__struct_fields__, ours.__struct_encode_fields__, strict=True))
    required = REQUIRED[build] | (FILLED_IN & set(wire_names))
    assert {wire_names[name] for name in required} == set(theirs["required"])


@pytest.mark.parametrize("build", BUILDERS)
def test_required_fields_cannot_be_left_out(build: Build) -> None:
    cls = type(build())
    given = {name: getattr(build(), name) for name in cls.__struct_fields__}
    for name in REQUIRED[build]:
        with pytest.raises(TypeError, match=f"Missing required argument '{name}'"):
            cls(**{key: value for key, value in given.items() if key != name})
        assert refuse(build, name, None).value is None


@pytest.mark.parametrize("build", BUILDERS)
def test_optional_fields_are_none_when_absent(build: Build) -> None:
    cls = type(build())
    for name in set(cls.__struct_fields__) - REQUIRED[build] - FILLED_IN - {"resolved_bid_id"}:
        assert getattr(build(**{name: None}), name) is None


@pytest.mark.parametrize("build", BUILDERS)
def test_unknown_fields_are_refused(build: Build) -> None:
    for name in ("colour", "pageSize", "kind", "user_id"):
        with pytest.raises(TypeError, match=f"Unexpected keyword argument '{name}'"):
            build(**{name: "red"})


@pytest.mark.parametrize("build", BUILDERS)
def test_fields_are_not_taken_by_position(build: Build) -> None:
    with pytest.raises(TypeError, match="Extra positional arguments"):
        type(build())("u")


def test_id_is_filled_in_when_absent(build_event: Build) -> None:
    ids = {build_event().id for _ in range(1000)}

    assert len(ids) == 1000
    assert {UUID(event_id).version for event_id in ids} == {7}


def test_id_that_is_given_is_kept(build_event: Build) -> None:
    assert build_event(id="order-100").id == "order-100"


@pytest.mark.parametrize("name", ["id", "occurred_at"])
def test_none_is_no_id_and_no_time(name: str, build_event: Build) -> None:
    assert refuse(build_event, name, None).value is None


def test_kinds_are_the_names_of_the_requests_lists() -> None:
    kinds = [event.kind for event in build_full_events()]

    assert tuple(kinds) == EVENT_KINDS == ("impressions", "clicks", "purchases", "pageviews")


def test_types_of_choices_are_there_for_annotations() -> None:
    device_type: DeviceType = "mobile"

    assert build_impression(device_type=device_type).device_type == "mobile"


# Frozen


def walk(part: msgspec.Struct) -> Iterator[msgspec.Struct]:
    yield part
    for name in part.__struct_fields__:
        value = getattr(part, name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, msgspec.Struct):
                yield from walk(inner)


@pytest.mark.parametrize("event", build_full_events(), ids=lambda event: event.kind)
def test_nothing_of_an_event_can_be_changed(event: Event) -> None:
    before = msgspec.json.encode(event)
    for part in walk(event):
        for name in part.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(part, name, "x")
            with pytest.raises(AttributeError):
                delattr(part, name)
            assert isinstance(
                getattr(part, name), str | int | tuple | Decimal | datetime | msgspec.Struct
            )
        with pytest.raises(AttributeError):
            part.colour = "red"  # type: ignore[attr-defined]

    assert msgspec.json.encode(event) == before


def test_lists_that_were_given_are_copied() -> None:
    categories, products, items = ["shoes"], ["shoe-1"], [build_item()]
    placement = build_placement(category_ids=categories)
    page = build_page(type="cart", value=products)
    purchase = build_purchase(items=items)
    categories.clear()
    products.clear()
    items.clear()

    assert placement.category_ids == ("shoes",)
    assert page.value == ("shoe-1",)
    assert purchase.items == (build_item(),)


@pytest.mark.parametrize("event", build_full_events(), ids=lambda event: event.kind)
def test_copies_are_equal_and_hash_alike(event: Event) -> None:
    copies = [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))]

    assert copies == [event] * 3
    assert {*copies, event} == {event}


def test_copy_with_another_field_is_checked() -> None:
    event = build_impression(id="a")

    assert msgspec.structs.replace(event, id="b").id == "b"
    with pytest.raises(InvalidEvent, match="opaque_user_id: '' is not allowed"):
        msgspec.structs.replace(event, opaque_user_id="")


@given(event=events)
def test_any_event_survives_pickling(event: Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


def test_ids_of_shops_may_be_any_text() -> None:
    # A bid of 239 characters is documented, an order's number may hold a slash.
    assert build_click(resolved_bid_id="x" * 239, id=f"2026/{uuid4()}").resolved_bid_id == "x" * 239
