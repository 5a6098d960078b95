"""A batch against a real server that refuses some of it: who is delivered, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from django_topsort.client import TopsortClient
from django_topsort.events import EVENT_KINDS, Event, Page, PageView
from django_topsort.exceptions import (
    AuthenticationFailed,
    InvalidRequest,
    NoAnswer,
    PayloadTooLarge,
    ServerUnavailable,
)
from django_topsort.sending.posting import (
    MAX_BODY,
    MAX_REFUSED,
    MAX_REQUESTS,
    Outcome,
    post_batch,
)
from django_topsort.testing import FakeApi
from django_topsort.wire import EventsRequest, build_request, encode_request
from tests.sending.engine import USER, build_event, build_events, get_ids


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def client(api: FakeApi) -> Iterator[TopsortClient]:
    with closing(TopsortClient(api.url, "TSE_tests", (2, 20))) as client:
        yield client


def post(client: TopsortClient, events: list[Event]) -> Outcome:
    return post_batch(build_request(events), client.post_events, encode_request)


def get_rejected_ids(outcome: Outcome) -> list[str]:
    return [event.id for event, _ in outcome.rejected]


def test_batch_that_is_taken_is_delivered_in_one_request(
    api: FakeApi, client: TopsortClient
) -> None:
    events = [event for kind in EVENT_KINDS for event in build_events(50, kind)]
    outcome = post(client, events)

    assert get_ids(outcome.delivered) == get_ids(events)
    assert (outcome.requests, outcome.rejected, outcome.waiting) == (1, [], [])
    assert outcome.error is None


@pytest.mark.parametrize("position", [0, 1, 24, 25, 49])
def test_one_poison_of_50_costs_14_requests_at_most(
    api: FakeApi, client: TopsortClient, position: int
) -> None:
    events = build_events(50)
    events[position] = build_event(event_id="poison")
    api.poison("poison", status=422, err_code="missing_product_id")
    outcome = post(client, events)

    assert get_rejected_ids(outcome) == ["poison"]
    assert outcome.rejected[0][1].err_code == "missing_product_id"
    assert len(outcome.delivered) == 49
    assert len(api.impressions) == 49
    assert len(api.requests) == outcome.requests <= 14
    assert api.repeated == []


@pytest.mark.parametrize("count", [1, 2, 5, 25, 50])
def test_each_of_k_poisons_is_rejected_alone(
    api: FakeApi, client: TopsortClient, count: int
) -> None:
    events = build_events(50)
    for number in range(count):
        events[number * 50 // count] = build_event(event_id=f"poison-{number}")
    api.poison(lambda event: event["id"].startswith("poison"))
    rejected: list[str] = []
    delivered: list[str] = []
    rounds = 0
    while events:
        outcome = post(client, events)
        assert outcome.requests <= MAX_REQUESTS
        assert outcome.error is None
        rejected += get_rejected_ids(outcome)
        delivered += get_ids(outcome.delivered)
        events = outcome.waiting
        rounds += 1

    assert sorted(rejected) == sorted(f"poison-{number}" for number in range(count))
    assert len(delivered) == 50 - count
    assert len(set(delivered)) == len(api.impressions) == 50 - count
    assert rounds <= 50 / MAX_REFUSED


def test_batch_that_costs_too_much_goes_back_in_its_order(
    api: FakeApi, client: TopsortClient
) -> None:
    events = build_events(50)
    api.poison(lambda event: int(event["id"].rpartition("-")[2]) % 2 == 1)
    outcome = post(client, events)

    assert outcome.requests == MAX_REQUESTS
    settled = len(outcome.delivered) + len(outcome.rejected)
    assert settled > 25
    assert get_ids(outcome.waiting) == get_ids(events[settled:])
    assert outcome.error is None


def test_batch_of_which_nothing_is_taken_is_not_asked_about_to_its_end(
    api: FakeApi, client: TopsortClient
) -> None:
    api.answer(400)
    outcome = post(client, build_events(50))

    assert outcome.requests <= 16
    assert get_rejected_ids(outcome) == get_ids(build_events(MAX_REFUSED))
    assert get_ids(outcome.waiting) == get_ids(build_events(50)[MAX_REFUSED:])
    assert outcome.error is None


def test_event_that_is_in_a_batch_twice_is_sent_once(api: FakeApi, client: TopsortClient) -> None:
    first, again = build_event("purchases", "o-1"), build_event("purchases", "o-1")
    outcome = post(client, [first, build_event("clicks", "o-1"), again, again])

    assert [(event.kind, event["id"]) for event in api.events] == [
        ("clicks", "o-1"),
        ("purchases", "o-1"),
    ]
    assert api.repeated == []
    assert len(outcome.delivered) == 2
    assert next(event for event in outcome.delivered if event.kind == "purchases") is first
    assert [event is again for event in outcome.duplicates] == [True, True]


def test_kinds_are_separated_first(api: FakeApi, client: TopsortClient) -> None:
    kinds = ("purchases", "clicks", "impressions", "pageviews")
    events = [event for kind in kinds for event in build_events(3, kind)]
    api.poison("clicks-1")
    outcome = post(client, events)

    def get_kinds(number: int) -> list[str]:
        body = api.requests[number].body
        return [kind for kind in EVENT_KINDS if f'"{kind}":[{{'.encode() in body]

    assert get_kinds(0) == list(EVENT_KINDS)
    assert get_kinds(1) == ["purchases"]
    assert len(api.purchases) == 3
    assert get_rejected_ids(outcome) == ["clicks-1"]
    assert len(outcome.delivered) == 11


def test_413_is_halved_until_it_fits(client: TopsortClient, api: FakeApi) -> None:
    api.max_body_size = 1200
    outcome = post(client, build_events(50))

    assert len(outcome.delivered) == len(api.impressions) == 50
    assert outcome.rejected == []


def test_413_for_one_event_rejects_it(client: TopsortClient, api: FakeApi) -> None:
    api.max_body_size = 10
    outcome = post(client, build_events(2))

    assert get_rejected_ids(outcome) == ["impressions-0", "impressions-1"]
    assert isinstance(outcome.rejected[0][1], PayloadTooLarge)


def test_large_body_is_split_before_it_is_sent(client: TopsortClient, api: FakeApi) -> None:
    api.max_body_size = MAX_BODY
    long = "x" * 2000
    events: list[Event] = [build_cart(number, long) for number in range(50)]
    outcome = post(client, events)

    assert len(outcome.delivered) == 50
    assert {request.status for request in api.requests} == {204}
    assert len(api.requests) > 1


def build_cart(number: int, product: str) -> PageView:
    page = Page(type="cart", page_id="/cart", value=[f"{product}{n}" for n in range(20)])
    return PageView(id=f"cart-{number}", opaque_user_id=USER, page=page)


def test_large_event_alone_is_sent_as_it_is() -> None:
    bodies: list[bytes] = []
    outcome = post_batch(
        build_request([build_event()]), bodies.append, lambda batch: b"x" * (MAX_BODY + 1)
    )

    assert len(bodies) == len(outcome.delivered) == 1


@pytest.mark.parametrize(
    ("status", "error_class"), [(401, AuthenticationFailed), (503, ServerUnavailable)]
)
def test_error_that_no_event_causes_ends_the_batch(
    api: FakeApi, client: TopsortClient, status: int, error_class: type[Exception]
) -> None:
    api.answer(status)
    outcome = post(client, build_events(50))

    assert isinstance(outcome.error, error_class)
    assert get_ids(outcome.waiting) == get_ids(build_events(50))
    assert (outcome.requests, outcome.delivered, outcome.rejected) == (1, [], [])


def test_error_in_the_midst_keeps_what_was_settled(api: FakeApi, client: TopsortClient) -> None:
    api.answer(400, matches=lambda request: b'"impressions-0"' in request.body)
    api.answer(401, matches=lambda request: b'"impressions-49"' in request.body)
    outcome = post(client, build_events(50))

    assert isinstance(outcome.error, AuthenticationFailed)
    assert get_rejected_ids(outcome) == ["impressions-0"]
    assert len(outcome.delivered) == len(api.impressions) == 24
    assert get_ids(outcome.waiting) == get_ids(build_events(50)[25:])


def test_fault_of_ours_keeps_what_was_settled(caplog: pytest.LogCaptureFixture) -> None:
    def fail(body: bytes) -> None:
        if b"clicks-0" in body and b"purchases-0" in body:
            raise InvalidRequest(status=400)
        if b"clicks-0" in body:
            raise KeyError("shopper-1")

    events = [*build_events(1, "purchases"), *build_events(2, "clicks")]
    outcome = post_batch(build_request(events), fail, encode_request)

    assert get_ids(outcome.delivered) == ["purchases-0"]
    assert get_ids(outcome.waiting) == ["clicks-0", "clicks-1"]
    assert isinstance(outcome.error, NoAnswer)
    assert outcome.error.message == "KeyError in this process"
    assert "posting failed error=KeyError" in caplog.text


def test_event_that_cannot_be_written_is_rejected_alone() -> None:
    def encode(batch: EventsRequest) -> bytes:
        if "bad" in get_ids(list(batch)):
            raise TypeError("no JSON for it")
        return encode_request(batch)

    bodies: list[Any] = []
    events = [*build_events(49), build_event(event_id="bad")]
    outcome = post_batch(build_request(events), bodies.append, encode)

    assert get_rejected_ids(outcome) == ["bad"]
    assert outcome.rejected[0][1].message == "not written as JSON: TypeError"
    assert len(outcome.delivered) == 49
    assert len(bodies) == outcome.requests <= 7
