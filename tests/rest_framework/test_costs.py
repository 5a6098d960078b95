"""What a request costs, counted and not timed: calls of functions, and calls of the cache.

The bounds are a little above what it takes on Python 3.11, which counts the most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.http import HttpRequest
from django.test import RequestFactory

from django_topsort.backends.locmem import outbox
from django_topsort.events import Event
from django_topsort.middleware import TopsortMiddleware
from django_topsort.rest_framework.views import EventsView
from django_topsort.signals import event_recorded
from tests.browser.sending import (
    HEADERS,
    URL,
    build_impression,
    build_sponsored,
    encode,
)
from tests.counting import count_calls
from tests.test_traffic import ReportingCache, use_cache

PAGE = 24
Build = Callable[[int], dict[str, Any]]

view: Any = EventsView.as_view()
door: Any = TopsortMiddleware(view)


@pytest.fixture(autouse=True)
def _own_cache() -> Iterator[None]:
    with use_cache("ReportingCache"):
        cache.clear()
        post(door, build_organic, 1)  # what is looked up once in a process
        ReportingCache.calls.clear()
        yield
        cache.clear()


def build_organic(number: int) -> dict[str, Any]:
    placement = {"path": "/shoes/", "position": number + 1, "page": 1}
    return build_impression(placement=placement)


def build_paid(number: int) -> dict[str, Any]:
    return build_sponsored(f"bid-{uuid4()}", placement=build_organic(number)["placement"])


def build_wrong(number: int) -> dict[str, Any]:
    return build_impression(placement={"path": "/shoes/", "position": f"{number + 1}"})


def build_post(build: Build, number: int) -> HttpRequest:
    body = encode(impressions=[build(place) for place in range(number)])
    return RequestFactory().post(URL, body, content_type="text/plain", headers=HEADERS)


def post(taker: Any, build: Build, number: int) -> int:
    """Post so many impressions; return how many functions were called for it."""
    calls, response = count_calls(taker, build_post(build, number))
    assert response.status_code == 204
    return calls.total()


def count_each(taker: Any, build: Build) -> float:
    """Return how many functions are called for each further impression of a request."""
    few, many = post(taker, build, PAGE), post(taker, build, 2 * PAGE)
    return (many - few) / PAGE


@pytest.mark.parametrize("taker", [door, view])
def test_organic_impression_takes_few_calls(taker: Any) -> None:
    assert count_each(taker, build_organic) <= 33


@pytest.mark.parametrize("taker", [door, view])
def test_bid_takes_few_calls_besides_those_of_the_cache_itself(taker: Any) -> None:
    assert count_each(taker, build_paid) <= 88


def test_event_that_is_set_right_takes_some_more_calls() -> None:
    assert count_each(door, build_wrong) <= 80


@pytest.mark.parametrize(("taker", "most"), [(door, 690), (view, 540)])
def test_request_itself_takes_few_calls(taker: Any, most: int) -> None:
    one, two = post(taker, build_organic, 1), post(taker, build_organic, 2)

    assert 2 * one - two <= most


def test_events_that_are_heard_of_one_by_one_take_some_more_calls() -> None:
    heard: list[str] = []

    def hear(event: Event, **kwargs: Any) -> None:
        heard.append(event.id)

    event_recorded.connect(hear)
    try:
        assert count_each(door, build_organic) <= 90
    finally:
        event_recorded.disconnect(hear)
    assert heard == [event.id for event in outbox][-3 * PAGE :]


def test_page_without_bids_asks_the_cache_for_the_rates_alone() -> None:
    post(door, build_organic, PAGE)

    assert ReportingCache.calls == ["add", "incr"] * 2


def test_bids_of_a_page_take_two_calls_more() -> None:
    post(door, build_paid, PAGE)

    assert ReportingCache.calls == [*["add", "incr"] * 2, "get_many", "set_many"]
