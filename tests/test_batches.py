"""No request has more than 50 events of a kind, and there are as few as can be."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.batches import MAX_PER_KIND, build_batches, split_batch
from django_topsort.events import EVENT_KINDS, Event
from django_topsort.testing.rules import build_rules, parse_json
from django_topsort.wire import EventsRequest, build_request, encode_request
from tests.strategies import build_full_events

SAMPLES: dict[str, Event] = {event.kind: event for event in build_full_events()}
validator = build_rules().validator

some_events = st.lists(st.sampled_from(EVENT_KINDS), max_size=300).map(
    lambda kinds: [build_event(kind, number) for number, kind in enumerate(kinds)]
)


def build_event(kind: str, number: int) -> Event:
    return msgspec.structs.replace(SAMPLES[kind], id=f"{kind}-{number}")


def build_events(**numbers: int) -> list[Event]:
    return [build_event(kind, index) for kind, number in numbers.items() for index in range(number)]


def count(batch: EventsRequest) -> dict[str, int]:
    return {kind: len(getattr(batch, kind)) for kind in EVENT_KINDS if getattr(batch, kind)}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, []),
        ({"impressions": 1}, [{"impressions": 1}]),
        ({"impressions": 50}, [{"impressions": 50}]),
        ({"impressions": 51}, [{"impressions": 50}, {"impressions": 1}]),
        ({"clicks": 150}, [{"clicks": 50}] * 3),
        (
            dict.fromkeys(EVENT_KINDS, 50),
            [dict.fromkeys(EVENT_KINDS, 50)],
        ),
        (
            {"impressions": 120, "clicks": 60, "purchases": 1, "pageviews": 50},
            [
                {"impressions": 50, "clicks": 50, "purchases": 1, "pageviews": 50},
                {"impressions": 50, "clicks": 10},
                {"impressions": 20},
            ],
        ),
    ],
)
def test_batches_mix_kinds_and_are_as_few_as_can_be(
    numbers: dict[str, int], expected: list[dict[str, int]]
) -> None:
    assert [count(batch) for batch in build_batches(build_events(**numbers))] == expected


@given(some=some_events)
def test_batches_hold_every_event_once_in_its_order(some: list[Event]) -> None:
    batches = build_batches(iter(some))
    numbers = Counter(event.kind for event in some)

    assert len(batches) == ceil(max(numbers.values(), default=0) / MAX_PER_KIND)
    for kind in EVENT_KINDS:
        own = [event for event in some if event.kind == kind]
        assert [event for batch in batches for event in getattr(batch, kind)] == own
    for batch in batches:
        assert 0 < max(count(batch).values()) <= 50
        assert len(batch) == sum(count(batch).values())


@pytest.mark.parametrize("number", [1, 50, 51, 101])
def test_batches_hold_to_the_schema(number: int) -> None:
    for batch in build_batches(build_events(**dict.fromkeys(EVENT_KINDS, number))):
        validator.validate(parse_json(encode_request(batch)))


def test_schema_would_notice_51_of_a_kind() -> None:
    body = parse_json(encode_request(build_request(build_events(clicks=51))))

    assert not validator.is_valid(body)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"clicks": 1}, [{"clicks": 1}]),
        ({"clicks": 2}, [{"clicks": 1}, {"clicks": 1}]),
        ({"clicks": 3}, [{"clicks": 1}, {"clicks": 2}]),
        ({"purchases": 50}, [{"purchases": 25}, {"purchases": 25}]),
        ({"impressions": 1, "clicks": 1}, [{"impressions": 1}, {"clicks": 1}]),
        (
            {"impressions": 50, "clicks": 2, "purchases": 3, "pageviews": 1},
            [{"purchases": 3}, {"impressions": 50}, {"clicks": 2}, {"pageviews": 1}],
        ),
    ],
)
def test_refused_batch_is_split_by_kind_and_then_in_halves(
    numbers: dict[str, int], expected: list[dict[str, int]]
) -> None:
    batch = build_request(build_events(**numbers))

    assert [count(part) for part in split_batch(batch)] == expected


def test_empty_batch_is_not_split() -> None:
    empty = EventsRequest()

    assert split_batch(empty) == [empty]


@given(some=some_events.filter(bool))
def test_splitting_ends_with_each_event_alone(some: list[Event]) -> None:
    todo: list[Any] = build_batches(some)
    alone: list[Event] = []
    while todo:
        batch = todo.pop(0)
        parts = split_batch(batch)
        assert sorted(event.id for part in parts for event in part) == sorted(e.id for e in batch)
        if len(batch) == 1:
            assert parts == [batch]
            alone.extend(batch)
        else:
            assert all(0 < len(part) < len(batch) for part in parts)
            todo.extend(parts)

    assert sorted(event.id for event in alone) == sorted(event.id for event in some)
