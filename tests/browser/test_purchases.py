"""Which purchases a browser says twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import override_settings

from django_topsort.backends.locmem import outbox
from django_topsort.browser.intake import take_events
from tests.browser.sending import build_purchase, build_request, encode
from tests.test_traffic import ConfusedCache, DeadCache

BAG = {"productId": "bag", "unitPrice": 20}
DUMMY = "django.core.cache.backends.dummy.DummyCache"


@pytest.fixture(autouse=True)
def _take_purchases() -> Iterator[None]:
    with override_settings(TOPSORT_BROWSER_EVENTS=["purchases"]):
        yield


class Days:
    """Lets a test say what day it is, to the builder and to the cache."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        import time
        from datetime import UTC, datetime

        real, days = time.time, self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Moved:
                return cls.fromtimestamp(real() + days.seconds, tz or UTC)

        monkeypatch.setattr("django_topsort.browser.building.datetime", Moved)
        monkeypatch.setattr("time.time", lambda: real() + days.seconds)

    def pass_by(self, hours: float) -> None:
        self.seconds += hours * 60 * 60


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Days:
    return Days(monkeypatch)


def buy(*purchases: dict[str, Any], path: str = "/thanks/1", shopper: str = "shopper-1") -> None:
    request = build_request(referer=f"http://testserver{path}", cookie=f"tsuid={shopper}")
    assert take_events(request, encode(purchases=[*purchases])).recorded == len(purchases)


def get_ids() -> list[str]:
    return [event.id for event in outbox]


def count() -> int:
    return len(set(get_ids()))


def test_purchase_is_the_same_when_its_page_is_loaded_again() -> None:
    buy(build_purchase(BAG))
    buy(build_purchase(BAG))
    buy(build_purchase(BAG, id=None))

    assert count() == 1
    buy(build_purchase({**BAG, "quantity": 2}))
    buy(build_purchase(BAG), path="/thanks/2")
    buy(build_purchase(BAG), shopper="shopper-2")
    assert count() == 4


def test_purchase_is_the_same_when_the_next_page_sends_it_again() -> None:
    first, second = build_purchase(BAG), build_purchase(BAG)
    buy(first)
    buy({**first, "id": first["id"].upper()}, path="/")
    assert count() == 1

    # The answer to the first is lost until there is a second, of the same items.
    buy(first, second, path="/thanks/2")
    assert get_ids()[2] == get_ids()[0]
    assert count() == 2
    buy(second, path="/")
    assert count() == 2


def test_purchase_is_the_same_when_what_was_loaded_again_is_sent_again() -> None:
    again = build_purchase(BAG)
    buy(build_purchase(BAG))
    buy(again)
    buy(again, path="/")

    assert count() == 1


def test_purchase_is_the_same_beyond_midnight_and_another_after_a_day(days: Days) -> None:
    first = build_purchase(BAG)
    buy(first)
    days.pass_by(hours=23.9)  # it is another day in any case but within 6 minutes after midnight
    buy(first, path="/")
    buy(build_purchase(BAG))
    assert count() == 1

    days.pass_by(hours=24.2)
    buy(build_purchase(BAG))
    assert count() == 2


def test_id_that_is_no_uuid_says_nothing() -> None:
    buy(build_purchase(BAG, id="order"))
    buy(build_purchase({**BAG, "unitPrice": 3}, id="order"))

    assert count() == 2


def test_id_of_another_shopper_says_nothing() -> None:
    own = str(uuid4())
    buy(build_purchase(BAG, id=own))
    buy(build_purchase({**BAG, "unitPrice": 3}, id=own), shopper="shopper-2")

    assert count() == 2


@pytest.mark.parametrize(
    "backend",
    [DUMMY, *(f"tests.test_traffic.{one.__name__}" for one in (DeadCache, ConfusedCache))],
)
def test_without_a_cache_items_path_and_day_make_the_purchase(backend: str, days: Days) -> None:
    with override_settings(CACHES={"default": {"BACKEND": backend}}):
        buy(build_purchase(BAG))
        buy(build_purchase(BAG))
        assert count() == 1
        days.pass_by(hours=24)
        buy(build_purchase(BAG))
        assert count() == 2


def test_cache_that_holds_something_else_is_read_over() -> None:
    bought = build_purchase(BAG)
    buy(bought)
    cache.set_many(dict.fromkeys(list(cache._cache), 3))  # type: ignore[attr-defined]  # locmem's
    buy(bought)

    assert count() == 1
