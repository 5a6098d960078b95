"""Repeats and floods: what counts, what does not, and what is asked of the cache for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from django_topsort.events import Click, Entity, Event, Impression
from django_topsort.traffic import MAX_PERIODS, Rate, read_rate, split_floods, split_repeats
from tests.sending.engine import build_event
from tests.test_clicks import NOW, Clock

SHOPPER = "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111"
ADDRESS = "address:192.0.2.7"


class ReportingCache(LocMemCache):
    """A cache that notes what is asked of it."""

    calls: list[str] = []
    keys: list[str] = []

    def note(self, name: str, keys: Any) -> None:
        self.calls.append(name)
        self.keys.extend(keys)

    def get_many(self, keys: Any, version: Any = None) -> Any:
        self.note("get_many", keys)
        get = super().get
        return {key: value for key in keys if (value := get(key)) is not None}

    def set_many(self, data: Any, timeout: Any = None, version: Any = None) -> Any:
        self.note("set_many", data)
        for key, value in data.items():
            super().set(key, value, timeout)
        return []

    def add(self, key: str, *args: Any, **kwargs: Any) -> Any:
        self.note("add", [key])
        return super().add(key, *args, **kwargs)

    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        self.note("get", [key])
        return super().get(key, *args, **kwargs)

    def incr(self, key: str, *args: Any, **kwargs: Any) -> Any:
        self.note("incr", [key])
        return super().incr(key, *args, **kwargs)


class DeadCache(BaseCache):
    """A cache whose server is down."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def __getattribute__(self, name: str) -> Any:
        if name in ("add", "get", "get_many", "set_many", "incr"):
            raise ConnectionError("refused")
        return super().__getattribute__(name)

    def clear(self) -> None:
        """What the end of a test calls."""


class ConfusedCache(BaseCache):
    """A cache that answers what nobody has put there."""

    answer: Any = None

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def reply(self, *args: Any, **kwargs: Any) -> Any:
        return self.answer

    get_many = get = set_many = incr = reply

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return False

    def clear(self) -> None:
        """What the end of a test calls."""


@pytest.fixture(autouse=True)
def _own_cache() -> Iterator[None]:
    """Use a cache that notes what is asked of it, and that no other test has written to."""
    with use_cache("ReportingCache"):
        cache.clear()
        ReportingCache.calls.clear()
        ReportingCache.keys.clear()
        yield
        cache.clear()


def use_cache(name: str) -> override_settings:
    own = {"BACKEND": f"tests.test_traffic.{name}", "LOCATION": "traffic"}
    return override_settings(CACHES={"default": own})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock.time)
    return clock


def see(bid: str = "bid-1", **fields: Any) -> Impression:
    return Impression(opaque_user_id=SHOPPER, resolved_bid_id=bid, **fields)


def click(bid: str = "bid-1", **fields: Any) -> Click:
    return Click(opaque_user_id=SHOPPER, resolved_bid_id=bid, **fields)


def count_clicks(name: str, number: int) -> int:
    """Return how many of so many new clicks count."""
    clicks = [click() for _ in range(number)]
    counted, excess = split_floods(clicks, name, ADDRESS)
    assert [*counted, *excess] == clicks
    return len(counted)


def split(*events: Event, shopper: str = SHOPPER) -> tuple[list[Event], list[Event]]:
    return split_repeats(events, shopper)


# Repeats


@pytest.mark.parametrize("build", [see, click])
def test_repeat_of_a_bid_is_found(build: Any) -> None:
    first, second, third = build(), build(), build()

    assert split(first) == ([first], [])
    assert split(second) == ([], [second])
    assert split(third) == ([], [third])


@pytest.mark.parametrize("build", [see, click])
def test_repeat_within_one_request_is_found(build: Any) -> None:
    first, second, other = build(), build(), build("bid-2")

    assert split(first, second, other) == ([first, other], [second])


@pytest.mark.parametrize("build", [see, click])
def test_event_that_is_sent_again_is_no_repeat(build: Any) -> None:
    first, other = build(), build()

    assert split(first) == ([first], [])
    assert split(first) == ([first], [])
    assert split(other, first) == ([first], [other])
    assert split(first, first) == ([first, first], [])


def test_what_differs_is_no_repeat() -> None:
    shoe, boot = (Entity(id=name, type="product") for name in ("shoe", "boot"))
    vendor = Entity(id="shoe", type="vendor")
    events: list[Event] = [
        see(),
        see("bid-2"),
        see(additional_attribution=shoe),
        see(additional_attribution=boot),
        see(additional_attribution=vendor),
        click(),
        click(click_type="product"),
        click(click_type="like"),
        click(additional_attribution=shoe),
    ]

    assert split(*events) == (events, [])
    for event in events:
        assert split(event) == ([event], [])


def test_blanks_make_no_other_bid() -> None:
    first, others = click(), [click(bid) for bid in (" bid-1", "bid-1 ", "\tbid-1\u00a0")]

    assert split(first, *others) == ([first], others)
    assert split(others[0]) == ([], others[:1])


def click_variant(number: int, bid: str = "bid-1") -> Click:
    if number == 0:
        return click(bid, click_type="like")
    return click(bid, additional_attribution=Entity(id=f"product-{number}", type="product"))


def test_ten_variants_of_a_click_count_one_by_one(clock: Clock) -> None:
    variants = [click_variant(number) for number in range(12)]

    assert [split(one)[0] == [one] for one in variants] == [True] * 10 + [False] * 2
    # The same event again is another attempt, but not of what did not count.
    assert split(variants[9]) == ([variants[9]], [])
    assert split(variants[10]) == ([], [variants[10]])
    assert split(*variants) == (variants[:10], variants[10:])
    assert len(split(click())[0]) == 1
    assert len(split(click_variant(1, "bid-2"))[0]) == 1
    assert len(split(click_variant(11), shopper="another")[0]) == 1
    clock.now += 1801
    assert len(split(click_variant(12))[0]) == 1


def test_ten_variants_of_a_click_count_in_one_request() -> None:
    variants = [click_variant(number, f" bid-1{' ' * number}") for number in range(12)]
    others: list[Event] = [click(), see(), click_variant(1, "bid-2")]

    assert split(*variants, *variants, *others) == (
        [*variants[:10], *variants[:10], *others],
        [*variants[10:], *variants[10:]],
    )
    late = click_variant(20)
    assert split(late) == ([], [late])
    assert split(late, *others) == (others, [late])


def test_click_asks_for_its_variants_only_where_it_has_any() -> None:
    split(click_variant(1))
    assert ReportingCache.calls == ["add", "add"]

    ReportingCache.calls.clear()
    split(click_variant(2), click_variant(3), click())
    assert ReportingCache.calls == ["get_many", "add", "incr", "set_many"]


def test_what_another_shopper_does_is_no_repeat() -> None:
    split(see(), click())
    others: list[Event] = [see(), click()]

    assert split(*others, shopper="another") == (others, [])


@pytest.mark.parametrize("kind", ["purchases", "pageviews"])
def test_event_without_a_bid_is_no_repeat_and_asks_no_cache(kind: str) -> None:
    organic = Click(opaque_user_id=SHOPPER, entity=Entity(id="shoe", type="product"))
    events = [build_event(kind), build_event(kind), organic, organic]

    assert split(*events) == (events, [])
    assert split() == ([], [])
    assert ReportingCache.calls == []


def test_events_keep_their_order_among_what_has_no_bid() -> None:
    page, first, second = build_event("pageviews"), see(), see()

    assert split(page, first, second, page) == ([page, first, page], [second])


@pytest.mark.parametrize(
    ("settings", "age", "is_repeat"),
    [
        ({}, 1799, True),
        ({}, 1801, False),
        ({"TOPSORT_DUPLICATE_WINDOW": 60}, 59, True),
        ({"TOPSORT_DUPLICATE_WINDOW": 60}, 61, False),
        ({"TOPSORT_DUPLICATE_WINDOW": timedelta(minutes=1)}, 61, False),
        ({"TOPSORT_DUPLICATE_WINDOW": "an hour"}, 1799, True),
        ({"TOPSORT_DUPLICATE_WINDOW": "an hour"}, 1801, False),
    ],
)
@pytest.mark.parametrize("build", [see, click])
def test_repeat_counts_again_after_the_window(
    build: Any, settings: dict[str, Any], age: int, is_repeat: bool, clock: Clock
) -> None:
    with override_settings(**settings):
        split(build())
        clock.now += age / 2
        split(build())  # does not begin another window
        clock.now += age / 2
        counted, repeats = split(build())

    assert (len(counted), len(repeats)) == ((0, 1) if is_repeat else (1, 0))


@pytest.mark.parametrize("window", [0, -5])
def test_repeats_count_where_there_is_no_window(window: int) -> None:
    with override_settings(TOPSORT_DUPLICATE_WINDOW=window):
        assert [len(part) for part in split(see(), see())] == [2, 0]
    assert ReportingCache.calls == []


@pytest.mark.parametrize("window", [float("nan"), timedelta.max, [], 10**400])
def test_window_that_is_none_raises_nothing(window: Any) -> None:
    with override_settings(TOPSORT_DUPLICATE_WINDOW=window):
        split(see(), see())
        split(click())


def test_page_of_24_costs_two_calls() -> None:
    page: list[Event] = [see(f"bid-{number}") for number in range(24)]

    assert split(*page) == (page, [])
    assert ReportingCache.calls == ["get_many", "set_many"]

    ReportingCache.calls.clear()
    again: list[Event] = [see(f"bid-{number}") for number in range(24)]
    assert split(*again) == ([], again)
    assert ReportingCache.calls == ["get_many"]


def test_click_costs_one_call_and_its_repeat_two() -> None:
    split(click())
    assert ReportingCache.calls == ["add"]

    split(click())
    assert ReportingCache.calls[1:] == ["add", "get"]


def test_click_that_comes_twice_at_once_counts_once() -> None:
    start = threading.Barrier(8)

    def report(_: int) -> int:
        start.wait(10)
        return len(split(click())[0])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(report, range(8))) == 1


def test_keys_fit_into_any_cache_and_show_nothing() -> None:
    split(see("a bid of\n2048 " + "x" * 2034), see("\u00fc"), shopper="shopper \ud800")
    split(click("bid-1"))
    count_clicks("shopper \ud800", 1)

    for key in ReportingCache.keys:
        # Django puts its own prefix and version before it; memcached takes 250 characters.
        assert len(key) <= 90
        assert key.isascii()
        assert " " not in key
        assert "bid" not in key
        assert "shopper" not in key


@pytest.mark.parametrize("name", ["DeadCache", "ConfusedCache"])
def test_all_counts_where_the_cache_is_down(name: str) -> None:
    with use_cache(name):
        for _ in range(2):
            assert [len(part) for part in split(click())] == [1, 0]
            assert [len(part) for part in split(see(), see("bid-2"))] == [2, 0]
            assert count_clicks(SHOPPER, 1000) == 1000


@pytest.mark.parametrize("answer", ["nonsense", 5, ["bid"], {"key": "value"}])
def test_all_counts_where_the_cache_answers_nonsense(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConfusedCache, "answer", answer)
    with use_cache("ConfusedCache"):
        assert [len(part) for part in split(see(), see("bid-2"))] == [2, 0]
        assert count_clicks(SHOPPER, 1)


def test_value_of_somebody_else_counts_for_nothing() -> None:
    split(see())
    (key,) = set(ReportingCache.keys)
    cache.set(key, {"not": "an id"})

    assert [len(part) for part in split(see())] == [1, 0]
    assert [len(part) for part in split(see())] == [0, 1]


def test_dummy_cache_lets_all_through() -> None:
    dummy = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    with override_settings(CACHES=dummy):
        for _ in range(2):
            assert [len(part) for part in split(see(), click())] == [2, 0]
            assert [len(part) for part in split(click())] == [1, 0]
            assert count_clicks(SHOPPER, 60) == 60


# Floods


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60/minute", Rate(60, 60)),
        ("1/s", Rate(1, 1)),
        ("1000/hour", Rate(1000, 3600)),
        ("5/d", Rate(5, 86400)),
        *((text, None) for text in ("", "60", "0/minute", "-1/minute", "60/week", "a/min", "6 /m")),
        *((value, None) for value in (None, 60, b"60/minute", ["60/minute"])),
    ],
)
def test_rate_is_read_as_drf_writes_it(text: object, rate: Rate | None) -> None:
    assert read_rate(text) == rate


def test_clicks_count_up_to_the_rate(clock: Clock) -> None:
    clock.now = NOW - NOW % 60
    assert [count_clicks(SHOPPER, 1) for _ in range(60)] == [1] * 60

    assert not count_clicks(SHOPPER, 1)
    assert count_clicks("another", 1)
    clock.now += 59
    assert not count_clicks(SHOPPER, 1)
    clock.now += 1
    assert count_clicks(SHOPPER, 1)


def test_clicks_of_one_request_count_as_far_as_the_rate_goes() -> None:
    assert count_clicks("first", 61) == 60
    assert count_clicks("second", 50) == 50
    assert count_clicks("second", 20) == 10
    assert count_clicks("second", 1) == 0


def test_first_clicks_of_a_request_count_and_all_else_that_is_in_it(clock: Clock) -> None:
    events: list[Event] = [see(), click("bid-1"), build_event("pageviews"), click("bid-2"), see()]

    with override_settings(TOPSORT_CLICK_RATE="1/day"):
        assert split_floods(events, SHOPPER, ADDRESS) == ([*events[:3], events[4]], [events[3]])


def click_at(moment: float) -> Click:
    return click(occurred_at=datetime.fromtimestamp(moment, UTC))


def test_clicks_that_have_waited_count_when_they_happened(clock: Clock) -> None:
    waited: list[Event] = [click_at(clock.now - 118 * age) for age in range(61)]  # two hours

    assert split_floods(waited, SHOPPER, ADDRESS) == (waited, [])
    late = [click_at(clock.now - 118 * 30) for _ in range(60)]
    counted, excess = split_floods(late, SHOPPER, ADDRESS)
    assert (len(counted), len(excess)) == (59, 1)
    clock.now += 5 * 3600
    assert split_floods(late[:1], SHOPPER, ADDRESS)[1] == late[:1]


@pytest.mark.parametrize("age", [-60, 86401, 10 * 86400])
def test_click_of_another_day_counts_when_it_comes(age: float, clock: Clock) -> None:
    assert count_clicks(SHOPPER, 60) == 60

    assert split_floods([click_at(clock.now - age)], SHOPPER, ADDRESS)[0] == []
    assert split_floods([click_at(clock.now - 86399)], SHOPPER, ADDRESS)[1] == []


def test_clicks_of_very_many_periods_cost_a_bounded_number_of_calls(clock: Clock) -> None:
    waited = [click_at(clock.now - 60 * age) for age in range(1, 500)]

    counted, excess = split_floods(waited, SHOPPER, ADDRESS)

    assert len(ReportingCache.calls) <= MAX_PERIODS + 2
    assert (len(counted), len(excess)) == (MAX_PERIODS + 60, 499 - MAX_PERIODS - 60)


def test_click_that_did_not_count_is_nothing_that_a_later_one_repeats(clock: Clock) -> None:
    with override_settings(TOPSORT_CLICK_RATE="1/minute"):
        count_clicks(SHOPPER, 1)
        assert split_floods([click()], SHOPPER, ADDRESS)[0] == []
        clock.now += 60
        (later,) = split_floods([click()], SHOPPER, ADDRESS)[0]
    assert split(later) == ([later], [])


def test_clicks_of_an_address_count_up_to_its_rate(clock: Clock) -> None:
    with override_settings(TOPSORT_CLICK_ADDRESS_RATE="100/minute"):
        assert [count_clicks(f"shopper-{number}", 40) for number in range(4)] == [40, 40, 20, 0]
        assert split_floods([click()], "another", "address:192.0.2.8")[1] == []
        # A time of its own makes no click another one's.
        assert split_floods([click_at(clock.now - 3600)], "another", ADDRESS)[0] == []
        clock.now += 60
        assert count_clicks("shopper-4", 40) == 40


def test_clicks_cost_one_call_or_two_for_each_of_the_rates() -> None:
    count_clicks(SHOPPER, 1)
    assert ReportingCache.calls == ["add"] * 2

    count_clicks(SHOPPER, 1)
    assert ReportingCache.calls[2:] == ["add", "incr"] * 2


def test_events_without_a_click_ask_for_no_rate() -> None:
    events = [see(), build_event("pageviews")]

    assert split_floods(events, SHOPPER, ADDRESS) == (events, [])
    assert ReportingCache.calls == []


@pytest.mark.parametrize("rate", [None, "", "many", 60, object()])
def test_any_number_of_clicks_counts_without_a_rate(rate: Any) -> None:
    with override_settings(TOPSORT_CLICK_RATE=rate, TOPSORT_CLICK_ADDRESS_RATE=rate):
        assert [count_clicks(SHOPPER, 1000) for _ in range(3)] == [1000] * 3
    assert ReportingCache.calls == []


def test_number_that_somebody_else_has_written_counts_for_nothing() -> None:
    count_clicks(SHOPPER, 1)
    store: Any = caches["default"]
    store.set(ReportingCache.keys[0], "many")

    assert count_clicks(SHOPPER, 1)
