from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.purchases.amounts import read_decimal, read_time
from django_topsort.purchases.values import ABSENT, get_value, is_empty, read_currency, read_id
from tests.purchases.shapes import Manager, Money, Price, StrictMoney, TaxedMoney

BERLIN = ZoneInfo("Europe/Berlin")


class Thing:
    answer = 42

    def get_answer(self) -> int:
        return self.answer

    def get_price(self, request: object) -> object:
        """Tell this visitor's price."""

    def delete(self) -> None:
        """Alter data."""

    delete.alters_data = True  # type: ignore[attr-defined]

    @property
    def gone(self) -> object:
        raise ObjectDoesNotExist

    @property
    def broken(self) -> object:
        raise KeyError("rates")


class AttrDict(dict[str, Any]):
    """A dict whose keys are attributes, as many projects have one."""

    __getattr__ = dict.__getitem__


class Record:
    """What an API returned."""

    def __init__(self, **data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["data"][name]


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (Thing(), "answer", 42),
        (Thing(), "get_answer", 42),
        (Thing(), "nothing", ABSENT),
        (Thing(), "get_price", ABSENT),
        (Thing(), "delete", ABSENT),
        (Thing(), "gone", ABSENT),
        (SimpleNamespace(lines=Manager(1, 2)), "lines", [1, 2]),
        (SimpleNamespace(build=dict), "build", dict),
        ({"number": 7}, "number", 7),
        ({"number": 7}, "items", ABSENT),
        ({"extra": SimpleNamespace(shopper="a")}, "extra.shopper", "a"),
        (SimpleNamespace(event=None), "event.currency", ABSENT),
        (None, "pk", ABSENT),
    ],
)
def test_get_value_reads_any_shape(owner: Any, name: str, value: Any) -> None:
    assert get_value(owner, name) == value


@pytest.mark.parametrize("shape", [AttrDict, Record])
def test_get_value_of_what_raises_for_an_unknown_name(shape: Any) -> None:
    owner = shape(number=7, extra=shape(shopper="a"))
    assert get_value(owner, "number") == 7
    assert get_value(owner, "ref") is ABSENT
    assert get_value(owner, "extra.shopper") == "a"
    assert get_value(SimpleNamespace(extra=owner), "extra.number") == 7


def test_get_value_lets_a_fault_of_the_shop_be_heard() -> None:
    with pytest.raises(KeyError, match="rates"):
        get_value(Thing(), "broken")


def test_absent_says_what_it_is() -> None:
    assert repr(ABSENT) == "ABSENT"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (Decimal("12.50"), "12.50"),
        (3, "3"),
        (0.1, "0.1"),
        (19.99, "19.99"),
        ("1.5", "1.5"),
        (" 12.50 ", "12.50"),
        ("1,5", "1.5"),
        ("-3,00", "-3.00"),
        ("0,500", "0.500"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1 234,50", "1234.50"),
        ("1\u202f234,50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        (Money(Decimal("9.90"), "EUR"), "9.90"),
        (TaxedMoney(Money(Decimal(1), "EUR"), Money(Decimal(2), "EUR")), "2"),
        (Price("31.873"), "31.873"),
        (StrictMoney("4.20"), "4.20"),
        ({"gross": {"amount": "7,25"}}, "7.25"),
        (999_999_999_999, "999999999999"),
    ],
)
def test_read_decimal_reads_what_shops_take_for_a_number(value: object, number: str) -> None:
    assert str(read_decimal(value)) == number


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "free",
        "12.50 EUR",
        "1,234",  # a thousand and more to some, one and a bit to others
        "1,2,3",
        "1.2,3.4",
        float("nan"),
        float("inf"),
        "NaN",
        "-Infinity",
        Decimal("sNaN"),
        StrictMoney("NaN"),
        10**12,
        -(10**12),
        1e300,
        b"1",
        [1],
        object(),
        Price,
        SimpleNamespace(value=SimpleNamespace(value=None)),
    ],
)
def test_read_decimal_refuses_what_is_no_number(value: object) -> None:
    assert read_decimal(value) is None


@given(st.one_of(st.text(), st.floats(), st.integers(), st.decimals(), st.booleans()))
def test_read_decimal_never_raises_and_is_always_finite(value: object) -> None:
    number = read_decimal(value)
    assert number is None or abs(number) < 10**12


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2))
def test_read_decimal_has_no_float_noise(amount: Decimal) -> None:
    assert read_decimal(float(amount)) == amount
    assert read_decimal(str(amount)) == amount
    assert read_decimal(str(amount).replace(".", ",")) == amount


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (datetime(2026, 11, 1, 9, tzinfo=UTC), datetime(2026, 11, 1, 9, tzinfo=UTC)),
        (datetime(2026, 11, 1, 9), datetime(2026, 11, 1, 9, tzinfo=BERLIN)),  # noqa: DTZ001
        (date(2026, 11, 1), datetime(2026, 11, 1, tzinfo=BERLIN)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=BERLIN)),
        ("2026-11-01T09:00:00Z", datetime(2026, 11, 1, 9, tzinfo=UTC)),
        ("2026-11-01 09:00", datetime(2026, 11, 1, 9, tzinfo=BERLIN)),
        (1793523600, datetime(2026, 11, 1, 9, tzinfo=UTC)),
        ("1793523600", datetime(2026, 11, 1, 9, tzinfo=UTC)),
        (1793523600500, datetime(2026, 11, 1, 9, 0, 0, 500_000, tzinfo=UTC)),
        ("1793523600000", datetime(2026, 11, 1, 9, tzinfo=UTC)),
        (1793523600.5, datetime(2026, 11, 1, 9, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_read_time_makes_aware(value: object, instant: datetime) -> None:
    found = read_time(value)
    assert found is not None
    assert found == instant
    assert timezone.is_aware(found)


def test_read_time_keeps_an_aware_time_as_it_is() -> None:
    tokyo = datetime(2026, 11, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert read_time(tokyo) is tokyo


def test_read_time_takes_a_naive_time_in_the_current_zone() -> None:
    with timezone.override("America/New_York"):
        found = read_time(datetime(2026, 7, 1, 12))  # noqa: DTZ001
    assert found == datetime(2026, 7, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, True, "", "soon", "2026-02-30", float("nan"), 10**20, object(), ABSENT]
)
def test_read_time_refuses_what_is_no_time(value: object) -> None:
    assert read_time(value) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("A-1", "A-1"),
        (" A-1 ", "A-1"),
        (7, "7"),
        (0, "0"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (SimpleNamespace(pk=7), "7"),
        (SimpleNamespace(pk="7"), "7"),
        ({"id": 7}, "7"),
        (SimpleNamespace(pk=None, id=7), None),
        (SimpleNamespace(sku="A-1"), None),
        ("", None),
        ("  ", None),
        (None, None),
        (True, None),
    ],
)
def test_read_id_is_text_or_none(value: object, found: str | None) -> None:
    assert read_id(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("EUR", "EUR"),
        ("eur ", "EUR"),
        (SimpleNamespace(code="USD"), "USD"),
        ("", None),
        (None, None),
    ],
)
def test_read_currency_is_a_code_or_none(value: object, found: str | None) -> None:
    assert read_currency(value) == found


def test_is_empty_compares_with_nothing() -> None:
    with pytest.raises(ValueError, match="Can not compare"):
        assert StrictMoney("0") == ""
    assert not is_empty(StrictMoney("0"))
    assert not is_empty(0)
    assert is_empty("  ")
