"""The backend that posts in the caller."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest

from django_topsort.accounts import accounts
from django_topsort.backends import http
from django_topsort.backends.base import BaseEventBackend
from django_topsort.events import Event
from django_topsort.exceptions import InvalidRequest
from django_topsort.signals import events_delivered, events_dropped, events_rejected
from django_topsort.testing import BackendContract, FakeApi
from tests.sending.engine import build_event, build_events, get_ids

KEY = "TSE_tests"


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_API_KEY = KEY
        yield api


class TestContract(BackendContract):
    @pytest.fixture(autouse=True)
    def _api(self, api: FakeApi) -> None:
        self.api = api

    def make_backend(self) -> BaseEventBackend:
        self.api.clear()
        return http.EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(event.kind, event["id"]) for event in self.api.events]


@pytest.fixture
def announced() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    signals = {
        "delivered": events_delivered,
        "rejected": events_rejected,
        "dropped": events_dropped,
    }
    receivers = []
    for name, signal in signals.items():

        def receive(name: str = name, **facts: Any) -> None:
            assert facts["sender"] is http.EventBackend
            found.append((name, facts))

        receivers.append(receive)
        signal.connect(receive)
    yield found
    for signal, receive in zip(signals.values(), receivers, strict=True):
        signal.disconnect(receive)


Announced = list[tuple[str, dict[str, Any]]]


def test_refused_event_is_rejected_and_the_others_delivered(
    api: FakeApi, announced: Announced
) -> None:
    api.poison("impressions-7", err_code="missing_product_id")
    http.EventBackend().send_events(build_events(60))

    assert len(api.impressions) == 59
    rejected = [facts for name, facts in announced if name == "rejected"]
    assert get_ids(rejected[0]["events"]) == ["impressions-7"]
    assert isinstance(rejected[0]["error"], InvalidRequest)
    assert rejected[0]["error"].err_code == "missing_product_id"
    assert sum(len(facts["events"]) for name, facts in announced if name == "delivered") == 59


def test_failure_drops_the_rest_without_another_try(
    api: FakeApi, announced: Announced, caplog: pytest.LogCaptureFixture
) -> None:
    before = accounts.get_counts()["impressions"]
    api.answer(503, matches=lambda request: b'"impressions-60"' in request.body)
    http.EventBackend().send_events(build_events(200))
    after = accounts.get_counts()["impressions"]

    assert len(api.requests) == 2
    assert after["delivered"] - before["delivered"] == 50
    assert after["dropped"] - before["dropped"] == 150
    (dropped,) = [facts for name, facts in announced if name == "dropped"]
    assert (dropped["reason"], dropped["count"]) == ("failed", 150)
    assert "ServerUnavailable" in caplog.text


def test_failure_leaves_to_the_overflow_what_it_takes(api: FakeApi, announced: Announced) -> None:
    taken: list[Event] = []

    def take_over(events: Sequence[Event]) -> Sequence[Event]:
        taken.extend(events[:30])
        return events[30:]

    backend = http.EventBackend()
    backend.overflow = take_over
    api.answer(503)
    backend.send_events(build_events(50))

    assert len(taken) == 30
    assert [facts["count"] for name, facts in announced if name == "dropped"] == [20]

    backend.send_events(build_events(30, prefix="more"))
    assert len(taken) == 60
    assert [facts["count"] for name, facts in announced if name == "dropped"] == [20]


def test_batch_that_takes_many_requests_is_asked_for_to_its_end(
    api: FakeApi, announced: Announced
) -> None:
    api.poison(lambda event: event["id"] != "impressions-49")
    http.EventBackend().send_events(build_events(50))

    counts = Counter(name for name, facts in announced for _ in facts["events"])
    assert counts == {"rejected": 49, "delivered": 1}


def test_event_that_comes_twice_in_a_call_goes_out_once(api: FakeApi, announced: Announced) -> None:
    http.EventBackend().send_events([build_event(), build_event("clicks"), build_event()])

    assert [event["id"] for event in api.events] == ["i-1", "i-1"]
    (dropped,) = [facts for name, facts in announced if name == "dropped"]
    assert (dropped["kind"], dropped["reason"]) == ("impressions", "duplicate")


@pytest.mark.parametrize(
    "broken", [{"TOPSORT_API_KEY": ""}, {"TOPSORT_API_URL": "nowhere"}], ids=str
)
def test_setting_that_cannot_be_used_drops_and_says_so(
    api: FakeApi,
    announced: Announced,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    broken: dict[str, str],
) -> None:
    for name, value in broken.items():
        setattr(settings, name, value)
    http.EventBackend().send_events([build_event()])

    assert [(name, facts.get("reason")) for name, facts in announced] == [("dropped", "failed")]
    assert next(iter(broken)) in caplog.text


def test_function_for_the_key_that_raises_loses_no_count(
    api: FakeApi, announced: Announced, settings: Any
) -> None:
    calls: list[bool] = []

    def get_key() -> str:
        calls.append(True)
        if len(calls) == 2:
            raise OSError("the vault is closed")
        return KEY

    settings.TOPSORT_API_KEY = get_key
    http.EventBackend().send_events(build_events(150))

    found = [(name, len(facts["events"])) for name, facts in announced]
    assert found == [("delivered", 50), ("dropped", 100)]


def test_backend_blocks() -> None:
    assert http.EventBackend.blocking
    assert http.EventBackend.production


def test_refused_batch_is_split_for_as_long_as_the_timeouts_allow(
    api: FakeApi, settings: Any
) -> None:
    settings.TOPSORT_TIMEOUT = (0.5, 0.5)
    api.answer(400, body=b'{"errCode":"bad_request"}', delay=0.2)
    events = build_events(48)
    before = accounts.get_counts()["impressions"]
    began = time.monotonic()

    http.EventBackend().send_events(events)

    assert time.monotonic() - began < 3  # the 95 requests would take 19 seconds
    after = accounts.get_counts()["impressions"]
    lost = [after[name] - before[name] for name in ("rejected", "dropped")]
    assert sum(lost) == 48


def test_call_whose_time_is_up_posts_no_more(
    api: FakeApi, announced: Announced, settings: Any
) -> None:
    settings.TOPSORT_TIMEOUT = (1e-9, 1e-9)
    http.EventBackend().send_events(build_events(60))

    assert api.requests == []
    assert [(name, facts["reason"], facts["count"]) for name, facts in announced] == [
        ("dropped", "failed", 60)
    ]
