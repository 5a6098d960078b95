"""Events that are made like an earlier one of their request are what they would be alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from django_topsort.backends.locmem import outbox
from django_topsort.events import Click, Impression, Placement
from django_topsort.exceptions import InvalidEvent
from django_topsort.tracking import set_placement, track_click, track_impression
from django_topsort.wire import encode_event

Track = Callable[..., Any]

# What a template may hand over, in each place and left out; much of it is wrong.
NUMBERS = [1, 24, 0, -1, True, "3", "", None, 2.0, 2**70]
BIDS = ["bid-1", "bid-2", "größe", "", None, 5, mark_safe("bid-3"), lazystr("bid-4"), "b" * 3000]
PRODUCTS = [None, "shoe-1", 7, "", object()]
OTHERS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"component": "carousel"},
    {"path": "/else/"},
    {"search_query": "red"},
    {"opaque_user_id": "somebody"},
    {"id": "an-id"},
    {"channel": "instore"},
    {"entity_type": "vendor"},
    {"external_campaign_id": "campaign"},
    {"placement": Placement(path="/own/")},
    {"misspelled": 1},
]


@st.composite
def build_call(draw: st.DrawFn) -> tuple[Track, object, dict[str, Any]]:
    fields: dict[str, Any] = {}
    if draw(st.booleans()):
        fields["resolved_bid_id"] = draw(st.sampled_from(BIDS))
    for name in ("position", "page", "page_size"):
        if draw(st.booleans()):
            fields[name] = draw(st.sampled_from(NUMBERS))
    fields |= draw(st.sampled_from(OTHERS))
    track: Track = draw(st.sampled_from((track_impression, track_click)))  # type: ignore[assignment]
    return track, draw(st.sampled_from(PRODUCTS)), fields


@pytest.fixture
def request_() -> HttpRequest:
    return build_request()


def build_request() -> HttpRequest:
    factory = RequestFactory(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140"})
    factory.cookies["tsuid"] = "0190d8f2-0000-7000-8000-000000000000"
    return factory.get("/shoes/")


def build_shown(**fields: object) -> tuple[Track, object, dict[str, Any]]:
    return track_impression, None, {"resolved_bid_id": "bid-1", "position": 1, **fields}


def say(request: HttpRequest, call: tuple[Track, object, dict[str, Any]]) -> object:
    """Return what a call makes: an event less what differs each time, None, or what it refuses."""
    track, product, fields = call
    try:
        event: Impression | Click | None = track(request, product, **fields)
    except InvalidEvent as error:
        return error.field, error.rule
    if event is None:
        return None
    said = asdict(event)
    assert datetime.now(UTC) - said.pop("occurred_at") < timedelta(minutes=1)
    if "id" not in fields:
        assert len(said.pop("id")) == 36
    return type(event), said


# What is right, but not plainly, and what is wrong: after what is plainly right.
@given(
    calls=st.lists(build_call(), min_size=2, max_size=6),
    placement=st.booleans(),
    strict=st.booleans(),
)
@example(
    calls=[
        build_shown(),
        build_shown(resolved_bid_id="größe"),
        build_shown(id="an-id"),
        build_shown(position="3"),
        build_shown(position=-1),
    ],
    placement=False,
    strict=True,
)
@example(calls=[build_shown(), build_shown(position=object())], placement=False, strict=False)
@settings(max_examples=300, deadline=None)
def test_event_is_the_same_whatever_came_before_it(
    calls: list[tuple[Track, object, dict[str, Any]]], placement: bool, strict: bool
) -> None:
    request = build_request()
    if placement:
        set_placement(request, component="top", page=2)

    for call in calls:
        alone = build_request()
        if placement:
            set_placement(alone, component="top", page=2)
        with override_settings(TOPSORT_STRICT=strict):
            assert say(request, call) == say(alone, call)
    outbox.clear()


def test_each_event_has_its_own_id_and_time(request_: HttpRequest) -> None:
    events = [track_impression(request_, resolved_bid_id="bid", position=1) for _ in range(5)]

    ids = [event.id for event in events if event]
    times = [event.occurred_at for event in events if event]
    assert len(set(ids)) == 5
    assert times == sorted(times)
    assert outbox == events


def test_later_event_leaves_the_earlier_ones_as_they_were(request_: HttpRequest) -> None:
    first = track_impression(request_, resolved_bid_id="bid-1", position=1)
    second = track_impression(request_, "shoe-2", position=2)
    third = track_impression(request_, resolved_bid_id="bid-3", position=3)

    for event, bid, shoe, position in (
        (first, "bid-1", None, 1),
        (second, None, "shoe-2", 2),
        (third, "bid-3", None, 3),
    ):
        assert event is not None
        assert event.resolved_bid_id == bid
        assert (event.entity and event.entity.id) == shoe
        assert event.placement == Placement(path="/shoes/", position=position)


def test_placement_that_is_set_holds_for_the_next_of_the_same_shape(request_: HttpRequest) -> None:
    def track() -> Placement | None:
        event = track_impression(request_, resolved_bid_id="bid", position=1)
        return event.placement if event else None

    assert track() == Placement(path="/shoes/", position=1)
    set_placement(request_, component="carousel", page_size=12)
    assert track() == Placement(path="/shoes/carousel", position=1, page_size=12)
    set_placement(request_)
    assert track() == Placement(path="/shoes/", position=1)


def test_placement_that_is_set_while_an_event_is_made_holds_for_the_next(
    request_: HttpRequest,
) -> None:
    # As another thread of the same request does: here it is a hook.
    def find_user(request: HttpRequest) -> str:
        set_placement(request, page=2)
        return "shopper"

    with override_settings(TOPSORT_USER_ID=find_user):
        track_impression(request_, resolved_bid_id="bid", position=1)
        later = track_impression(request_, resolved_bid_id="bid", position=1)

    assert later is not None
    assert later.placement == Placement(path="/shoes/", position=1, page=2)


def test_times_are_of_pythons_own_class_whatever_stands_in_its_place(
    request_: HttpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TakesOthers(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class OtherDatetime(datetime, metaclass=TakesOthers):
        """What freezegun puts into each module that has imported ``datetime``."""

    for name, module in list(sys.modules.items()):
        if name.startswith("django_topsort") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", OtherDatetime)

    for _ in range(2):
        event = track_impression(request_, resolved_bid_id="bid", position=1)
        assert event is not None
        assert type(event.occurred_at) is datetime
        assert encode_event(event)
