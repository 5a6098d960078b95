"""Rows are claimed, posted and settled; whatever fails comes back, and nothing is sent twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.models import F

from django_topsort.accounts import accounts
from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.clock import get_host_time
from django_topsort.outbox.models import SCHEMA_VERSION, Lease, OutboxEvent, Status
from django_topsort.outbox.relay import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    TRIES_IN_DOUBT,
    Relay,
)
from django_topsort.outbox.store import store_events
from django_topsort.reporting import Reporter
from django_topsort.sending.circuit import get_backoff
from django_topsort.signals import events_delivered
from django_topsort.testing import FakeApi
from django_topsort.wire import decode_request
from tests.sending.engine import Clock, build_event, build_events

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def relay(api: FakeApi, clock: Clock) -> Relay:
    return Relay("default", Reporter(EventBackend), clock=clock, rand=lambda: 1.0)


def always() -> bool:
    return True


def store(*ids: str, kind: str = "purchases") -> None:
    assert store_events([build_event(kind, name) for name in ids], "default") == []


def get_row(event_id: str) -> OutboxEvent:
    return OutboxEvent.objects.get(event_id=event_id)


def make_due() -> None:
    """Let the time pass that rows are put off by."""
    OutboxEvent.objects.update(due_at=get_host_time() - timedelta(seconds=1))


def get_delay(row: OutboxEvent) -> float:
    return (row.due_at - get_host_time()).total_seconds()


def test_rows_go_out_in_full_requests(relay: Relay, api: FakeApi) -> None:
    for kind in EVENT_KINDS:
        store_events(build_events(120, kind), "default")

    assert relay.run(always) == 480

    assert [len(decode_request(request.body)) for request in api.requests] == [200, 200, 80]
    assert len(api.events) == 480
    assert api.repeated == []
    assert not OutboxEvent.objects.exclude(status=Status.DELIVERED).exists()
    assert OutboxEvent.objects.filter(settled_at=None).count() == 0


def test_relay_stops_when_it_is_told_to(relay: Relay, api: FakeApi) -> None:
    store_events(build_events(120, "purchases"), "default")
    answers = iter([True, False])

    assert relay.run(lambda: next(answers)) == 50
    assert len(api.requests) == 1


def test_oldest_rows_go_first(relay: Relay, api: FakeApi) -> None:
    store_events(build_events(50, "purchases"), "default")
    store("old")
    OutboxEvent.objects.filter(event_id="old").update(due_at=F("due_at") - timedelta(days=3))

    assert relay.send_batch() == 50

    assert "old" in [event["id"] for event in api.purchases]


def test_refused_row_is_kept_with_the_reason_and_the_others_arrive(
    relay: Relay, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    store("1", "poison", "2")
    api.poison("poison", err_code="missing_product_id")

    relay.run(always)

    assert sorted(event["id"] for event in api.purchases) == ["1", "2"]
    row = get_row("poison")
    assert (row.status, row.attempts) == ("rejected", 0)
    assert row.last_error.startswith("InvalidRequest status=400 errCode=missing_product_id")
    assert "rejected kind=purchases" in caplog.text


def test_lone_purchase_is_refused_after_some_tries(relay: Relay, api: FakeApi) -> None:
    store("1")
    api.answer(400)
    seen = []
    for _ in range(TRIES_IN_DOUBT):
        relay.run(always)
        row = get_row("1")
        seen.append((row.status, row.attempts))
        make_due()

    assert seen[:-1] == [("pending", number + 1) for number in range(TRIES_IN_DOUBT - 1)]
    assert seen[-1] == ("rejected", TRIES_IN_DOUBT - 1)


def test_refusal_of_everything_costs_no_row(relay: Relay, api: FakeApi, clock: Clock) -> None:
    with api.answer(400):
        for number in range(4):
            store(*(f"{number}-{index}" for index in range(3)))
            make_due()
            relay.run(always)
    assert relay.get_pause() > 0
    assert set(OutboxEvent.objects.values_list("status", flat=True)) == {"pending"}

    for _ in range(5):
        clock.now += 120
        make_due()
        relay.run(always)

    assert len(api.purchases) == 12
    assert OutboxEvent.objects.filter(status="delivered").count() == 12


def test_batch_that_costs_too_much_is_cut_short_and_goes_on_at_once(
    relay: Relay, api: FakeApi
) -> None:
    store_events(build_events(50, "clicks"), "default")
    api.poison("clicks-")

    relay.run(always)

    assert not OutboxEvent.objects.waiting().exists()
    assert OutboxEvent.objects.filter(status="rejected", attempts=0).count() == 50


def test_row_that_failed_is_put_off_for_longer_each_time(relay: Relay, api: FakeApi) -> None:
    store("1")
    api.answer(503, times=3)
    delays = []
    for attempt in range(1, 4):
        relay.run(always)
        row = get_row("1")
        assert (row.status, row.attempts, row.lease_token) == ("pending", attempt, "")
        assert row.last_error.startswith("ServerUnavailable status=503: Topsort cannot take")
        delays.append(get_delay(row))
        make_due()

    assert [pytest.approx(delay, abs=3) for delay in (10.0, 20.0, 40.0)] == delays
    assert relay.run(always) == 1
    assert get_row("1").status == "delivered"


def test_backoff_grows_to_an_hour() -> None:
    bounds = (FIRST_BACKOFF, LONGEST_BACKOFF)
    longest = [get_backoff(attempts, lambda: 1.0, *bounds) for attempts in range(40)]

    assert longest[:3] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF, 4 * FIRST_BACKOFF]
    assert longest[-1] == LONGEST_BACKOFF == 3600
    assert get_backoff(3, lambda: 0.0, *bounds) == 0.5


@pytest.mark.parametrize(("asked", "expected"), [("40", 40), ("100000", 3600), ("1", 10)])
def test_row_is_put_off_for_as_long_as_topsort_asks(
    relay: Relay, api: FakeApi, asked: str, expected: float
) -> None:
    store("1")
    api.answer(429, headers={"Retry-After": asked}, times=1)

    relay.run(always)

    assert get_delay(get_row("1")) == pytest.approx(expected, abs=3)


def test_wrong_key_costs_no_attempt_and_no_row(relay: Relay, api: FakeApi, clock: Clock) -> None:
    store("1")
    OutboxEvent.objects.update(created_at=F("created_at") - timedelta(days=30))
    with api.answer(401):
        relay.run(always)
    assert (get_row("1").status, get_row("1").attempts) == ("pending", 0)
    make_due()
    assert relay.run(always) == 0  # the circuit is open
    assert relay.get_pause() == pytest.approx(60)

    clock.now += 61
    assert relay.run(always) == 1
    assert get_row("1").status == "delivered"


def test_circuit_lets_a_small_batch_out_first(relay: Relay, api: FakeApi, clock: Clock) -> None:
    with api.answer(404):
        store("1")
        relay.run(always)
    store_events(build_events(30, "purchases"), "default")
    make_due()
    clock.now += 61

    relay.run(always)

    assert [len(decode_request(request.body)) for request in api.requests[1:]] == [10, 21]


def test_row_that_is_too_old_is_a_dead_letter_after_one_more_try(
    relay: Relay, api: FakeApi, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    store("old", "new")
    OutboxEvent.objects.filter(event_id="old").update(
        attempts=9, created_at=F("created_at") - timedelta(days=7, seconds=1)
    )
    api.answer(503, times=1)

    relay.run(always)

    assert (get_row("old").status, get_row("new").status) == ("dead", "pending")
    assert get_row("old").last_error.startswith("ServerUnavailable status=503: ")
    assert drops == [("purchases", "dead_letter", 1)]
    assert "dropped kind=purchases reason=dead_letter count=1 ids=old" in caplog.text


def test_relay_that_was_stopped_for_days_sends_what_is_there(relay: Relay, api: FakeApi) -> None:
    store("1")
    times = {name: F(name) - timedelta(days=9) for name in ("created_at", "due_at")}
    OutboxEvent.objects.update(**times)
    recorded = get_row("1").occurred_at

    relay.run(always)

    (purchase,) = api.purchases
    assert purchase["occurredAt"].startswith(f"{recorded:%Y-%m-%dT%H:%M:%S}")


def test_dead_letter_that_is_sent_again_starts_anew(relay: Relay, api: FakeApi) -> None:
    store("1", "2", "3")
    OutboxEvent.objects.filter(event_id="1").update(status=Status.DEAD, attempts=9)
    OutboxEvent.objects.filter(event_id="2").update(status=Status.REJECTED)
    OutboxEvent.objects.filter(event_id="3").update(status=Status.DELIVERED)

    assert OutboxEvent.objects.all().send_again(get_host_time()) == 2

    assert relay.run(always) == 2
    assert sorted(event["id"] for event in api.purchases) == ["1", "2"]


def test_row_of_a_newer_version_is_left_alone(relay: Relay, api: FakeApi) -> None:
    store("1", "2")
    OutboxEvent.objects.filter(event_id="2").update(schema_version=SCHEMA_VERSION + 1)
    OutboxEvent.objects.create(
        key="k", kind="views", event_id="3", payload="{}", **dict.fromkeys(TIMES, get_host_time())
    )

    relay.run(always)

    assert [event["id"] for event in api.events] == ["1"]
    assert (get_row("2").status, get_row("3").status) == ("pending", "pending")


TIMES = ("occurred_at", "created_at", "due_at")


@pytest.mark.parametrize("payload", ["", "{", "[]", '{"id": "1"}', '{"id": "1", "new": 2}'])
def test_row_that_cannot_be_read_holds_up_no_other(
    relay: Relay, api: FakeApi, payload: str, caplog: pytest.LogCaptureFixture
) -> None:
    store("1", "2")
    OutboxEvent.objects.filter(event_id="1").update(payload=payload)

    relay.run(always)

    assert [event["id"] for event in api.purchases] == ["2"]
    assert get_row("1").status == "dead"
    assert get_row("1").last_error.startswith("not readable: ")
    assert "outbox row not readable" in caplog.text


def test_two_relays_claim_each_row_once(api: FakeApi) -> None:
    store_events(build_events(80, "purchases"), "default")
    first, second = (Relay("default", Reporter(EventBackend)) for _ in range(2))
    inner: list[int] = []

    def relay_in_between(**facts: object) -> None:
        inner.append(second.send_batch())

    events_delivered.connect(relay_in_between)
    try:
        assert first.send_batch() == 50
    finally:
        events_delivered.disconnect(relay_in_between)

    assert sum(inner) == 30
    assert len(api.events) == 80
    assert api.repeated == []


def test_lease_ends_by_itself_when_its_relay_has_died(relay: Relay, api: FakeApi) -> None:
    store("1")
    with api.lose_answers(times=1):
        claimed = claim_and_die()
    assert [row.event_id for row in claimed] == ["1"]
    assert relay.run(always) == 0
    assert get_delay(get_row("1")) == pytest.approx(60, abs=3)

    make_due()

    assert relay.run(always) == 1
    assert get_row("1").status == "delivered"


def claim_and_die() -> list[OutboxEvent]:
    """Claim what is due as a relay does that is killed before it has posted anything."""
    now = get_host_time()
    lease = Lease("a-token", now, now + timedelta(seconds=60))
    return OutboxEvent.objects.all().claim("purchases", "default", 50, lease)


def test_relay_that_has_lost_its_lease_changes_nothing(relay: Relay, api: FakeApi) -> None:
    store("1")

    def take_the_lease() -> None:
        OutboxEvent.objects.update(lease_token="another's")

    with WhileAsking(relay, take_the_lease):
        relay.send_batch()

    assert len(api.purchases) == 1
    assert (get_row("1").status, get_row("1").lease_token) == ("pending", "another's")


class WhileAsking:
    """Does something while Topsort is being asked: the relay's clock is read just before."""

    def __init__(self, relay: Relay, act: Callable[[], object]) -> None:
        self._clock: Any = relay._clock
        self._act = act
        self._calls = 0

    def __enter__(self) -> None:
        def act_once() -> None:
            self._calls += 1
            if self._calls == 3:  # for the deadline, the start, and then for the request
                self._act()

        self._clock.hook = act_once

    def __exit__(self, *error: object) -> None:
        self._clock.hook = str


def test_request_ends_before_its_lease_does(
    relay: Relay, api: FakeApi, clock: Clock, settings: Any
) -> None:
    store("1")

    def be_slow() -> None:
        clock.now += 100

    with WhileAsking(relay, be_slow):
        relay.send_batch()

    assert api.requests == []
    assert get_row("1").last_error.startswith("NoAnswer no answer the lease is about to end: ")


def test_no_transaction_is_open_while_topsort_is_asked(relay: Relay, api: FakeApi) -> None:
    store("1")
    seen: list[bool] = []

    with WhileAsking(relay, lambda: seen.append(connection.in_atomic_block)):
        relay.send_batch()

    assert seen == [False]


def test_database_that_fails_after_the_answer_costs_a_repetition(
    relay: Relay, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    store("1")
    before = accounts.get_counts()["purchases"]

    def refuse_updates(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "settled_at" in sql:
            raise DatabaseError("gone")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse_updates):
        relay.run(lambda: not api.requests)
    assert "outbox not updated rows=1" in caplog.text
    make_due()
    relay.run(always)

    assert api.repeated == ["1"]
    assert api.altered == []
    assert get_row("1").status == "delivered"
    after = accounts.get_counts()["purchases"]
    assert after["waiting"] == before["waiting"]


def test_relay_that_is_interrupted_puts_its_rows_back(relay: Relay, api: FakeApi) -> None:
    store("1")

    def end() -> None:
        raise SystemExit

    with WhileAsking(relay, end), pytest.raises(SystemExit):
        relay.send_batch()

    row = get_row("1")
    assert (row.status, row.attempts, row.lease_token) == ("pending", 1, "")


def test_log_of_an_outage_names_no_shopper(
    relay: Relay, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store_events(build_events(30, "purchases"), "default")
    with api.answer(500):
        relay.run(always)
        make_due()
        relay.run(always)

    assert "shopper-1" not in caplog.text
    assert sum("request failed" in line for line in caplog.messages) == 1
