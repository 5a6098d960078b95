"""The workers' half of the engines: what becomes of a message, whatever Topsort says."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.backends import locmem
from django_topsort.backends import thread as thread_backend
from django_topsort.backends.engine import Message, build_messages, read_message
from django_topsort.engines import forwarding
from django_topsort.engines.forwarding import (
    FIRST_BACKOFF,
    HOLDING_SECONDS,
    LONGEST_BACKOFF,
    TRIES_IN_DOUBT,
    Forwarder,
    Leftover,
    get_forwarder,
)
from django_topsort.events import EVENT_KINDS, Event
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.lineage import lineage
from django_topsort.sending.circuit import FAILURES_TO_OPEN, LONGEST_RETRY_AFTER
from django_topsort.signals import events_delivered
from django_topsort.testing import FakeApi
from tests.sending.engine import PATIENCE, Clock, build_event, build_events, get_ids

NOW = 1_800_000_000.0
DAY = 86400.0


class Backend(locmem.EventBackend):
    """Whose overflow takes what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.room = 0
        self.overflown: list[Event] = []
        self.overflow = self.take

    def take(self, events: Sequence[Event]) -> Sequence[Event]:
        taken = events[: self.room]
        self.overflown += taken
        accounts.count_stored(taken)
        return events[self.room :]


class World:
    """A forwarder, its clocks, and what it has waited for."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.clock, self.now = Clock(), Clock(NOW)
        self.waits: list[float] = []
        self.forwarder = self.build()

    def build(self) -> Forwarder:
        return Forwarder(
            self.backend, clock=self.clock, now=self.now, sleep=self.sleep, rand=lambda: 1.0
        )

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.now += seconds

    def forward(self, *messages: Message) -> list[Leftover]:
        return self.forwarder.forward(messages)


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        yield api


@pytest.fixture
def world(api: FakeApi) -> Iterator[World]:
    before = accounts.get_counts()
    world = World()
    yield world
    # Recorded, taken, and stored again: whatever a test does, no event is left over.
    after = accounts.get_counts()
    assert {kind: after[kind]["waiting"] - before[kind]["waiting"] for kind in EVENT_KINDS} == (
        dict.fromkeys(EVENT_KINDS, 0)
    )


def pack(*events: Event, since: float = NOW, attempts: int = 0) -> Message:
    (message,) = build_messages(events, since, attempts)
    return message


def read_ids(leftover: Leftover) -> list[str]:
    return [event.id for message in leftover.messages for event in read_message(message)]


NOTHING = Leftover([])


def test_message_of_every_kind_is_one_request(world: World, api: FakeApi) -> None:
    events = [build_event(kind, f"{kind}-1") for kind in EVENT_KINDS]

    assert world.forward(pack(*events)) == [NOTHING]

    assert len(api.requests) == 1
    assert sorted(event["id"] for event in api.events) == sorted(get_ids(events))
    assert world.waits == []


def test_messages_share_as_few_requests_as_they_fit_in(world: World, api: FakeApi) -> None:
    messages = [pack(*build_events(10, prefix=f"m{number}")) for number in range(7)]

    assert world.forward(*messages) == [NOTHING] * 7

    assert [request.taken["impressions"] for request in api.requests] == [50, 20]


def test_no_messages_are_no_request(world: World, api: FakeApi) -> None:
    assert world.forward() == []
    assert api.requests == []


def test_message_that_cannot_be_read_is_said_and_the_others_go(
    world: World, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Message('{"impressions": [{"opaqueUserId": 5}]}', NOW)

    assert world.forward(broken, pack(build_event())) == [NOTHING, NOTHING]

    assert len(api.impressions) == 1
    assert "message not readable field=" in caplog.text


def test_poison_is_rejected_alone_and_of_its_message(world: World, api: FakeApi) -> None:
    api.poison("bad")
    before = accounts.get_counts()["impressions"]["rejected"]
    bad = pack(*build_events(3, prefix="a"), build_event(event_id="bad"))

    assert world.forward(bad, pack(*build_events(3, prefix="b"))) == [NOTHING, NOTHING]

    assert len(api.impressions) == 6
    assert accounts.get_counts()["impressions"]["rejected"] == before + 1


def test_event_in_two_messages_is_sent_once(
    world: World, api: FakeApi, drops: list[tuple[str, str, int]]
) -> None:
    """As after a broker has handed out a message a second time."""
    message = pack(*build_events(2))

    assert world.forward(message, message) == [NOTHING, NOTHING]

    assert len(api.impressions) == 2
    assert drops == [("impressions", "duplicate", 2)]


@pytest.mark.parametrize("status", [429, 500, 503, 302, 404, 401])
def test_failure_leaves_all_to_a_later_time(world: World, api: FakeApi, status: int) -> None:
    api.answer(status, times=1)
    is_setting = status in {302, 404, 401}

    (leftover,) = world.forward(pack(*build_events(3)))

    assert read_ids(leftover) == ["impressions-0", "impressions-1", "impressions-2"]
    (message,) = leftover.messages
    assert message.since == NOW
    assert message.attempts == (0 if is_setting else 1)
    assert leftover.pause == FIRST_BACKOFF * (1 if is_setting else 2)
    if is_setting:
        world.clock.now += 120
    assert world.forward(message) == [NOTHING]
    assert len(api.impressions) == 3


def test_backoff_grows_and_has_an_end(world: World, api: FakeApi) -> None:
    api.answer(500)
    pauses = []
    for attempts in (0, 1, 2, 50):
        world.forwarder = world.build()
        (leftover,) = world.forward(pack(build_event(), attempts=attempts))
        pauses.append(leftover.pause)
    assert pauses == [10.0, 20.0, 40.0, LONGEST_BACKOFF]


@pytest.mark.parametrize(("asked", "pause"), [("120", 120.0), ("7200", LONGEST_RETRY_AFTER)])
def test_pause_is_as_long_as_topsort_asks_for(
    world: World, api: FakeApi, asked: str, pause: float
) -> None:
    api.answer(503, headers={"Retry-After": asked})

    (leftover,) = world.forward(pack(build_event()))

    assert leftover.pause == pause


def test_while_topsort_does_not_answer_a_worker_waits_and_puts_off(
    world: World, api: FakeApi
) -> None:
    api.answer(500)
    for _ in range(FAILURES_TO_OPEN):
        world.forward(pack(build_event()))
    requests = len(api.requests)
    world.forwarder._circuit._open_until = world.clock.now + 25

    (leftover,) = world.forward(pack(build_event(event_id="held"), attempts=2))

    assert world.waits == [HOLDING_SECONDS]
    assert len(api.requests) == requests
    assert read_ids(leftover) == ["held"]
    assert leftover.messages[0].attempts == 2  # it has not been tried
    api.clear_faults()
    world.clock.now += 10
    assert world.forward(*leftover.messages) == [NOTHING]  # it has waited for the last 5 seconds
    assert world.waits == [HOLDING_SECONDS, 5.0]


def test_worker_waits_for_the_probe_of_another(world: World, api: FakeApi) -> None:
    circuit = world.forwarder._circuit
    circuit._open_until = world.clock.now
    assert circuit.start()

    (leftover,) = world.forward(pack(build_event()))

    assert world.waits == [HOLDING_SECONDS]
    assert api.requests == []
    assert read_ids(leftover) == ["i-1"]


def test_first_failure_leaves_the_other_requests_untried(world: World, api: FakeApi) -> None:
    api.answer(500, times=1)

    first, second = world.forward(pack(*build_events(50, prefix="a")), pack(build_event()))

    assert len(api.requests) == 1
    assert first.messages[0].attempts == 1
    assert second.messages[0].attempts == 0


@pytest.mark.parametrize("room", [0, 1, 5])
def test_what_is_too_old_goes_to_the_overflow_or_is_dropped(
    world: World,
    api: FakeApi,
    room: int,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    api.answer(500)
    world.backend.room = room
    orders = [build_event("purchases", f"order-{number}") for number in range(3)]

    assert world.forward(pack(*orders, since=NOW - DAY - 1)) == [NOTHING]

    assert world.backend.overflown == orders[:room]
    assert drops == ([("purchases", "expired", 3 - room)] if room < 3 else [])
    for order in orders[room:]:
        assert order.id in caplog.text


def test_what_is_not_too_old_is_tried_again(world: World, api: FakeApi, settings: Any) -> None:
    api.answer(500)
    assert world.forward(pack(build_event(), since=NOW - DAY)) != [NOTHING]
    settings.TOPSORT_ENGINE_MAX_AGE = 60
    assert world.forward(pack(build_event(), since=NOW - 61)) == [NOTHING]


def test_wrong_key_gives_nothing_up(
    world: World, api: FakeApi, settings: Any, drops: list[tuple[str, str, int]]
) -> None:
    settings.TOPSORT_API_KEY = "TSE_revoked"
    message = pack(build_event("purchases", "order"), since=NOW - 30 * DAY)
    for _ in range(3):  # also while it is not asked for that reason
        (leftover,) = world.forward(message)
        assert read_ids(leftover) == ["order"]
        (message,) = leftover.messages
    assert drops == []
    assert message.attempts == 0

    settings.TOPSORT_API_KEY = "TSE_tests"
    world.clock.now += 120
    assert world.forward(message) == [NOTHING]
    assert [event["id"] for event in api.purchases] == ["order"]


def test_lone_purchase_is_refused_after_some_tries_and_not_for_those_of_others(
    world: World, api: FakeApi, drops: list[tuple[str, str, int]]
) -> None:
    """Messages that have been tried often must not make a new purchase look as if it had."""
    api.poison("lone")
    api.poison("old")
    old = pack(build_event("purchases", "old"), attempts=TRIES_IN_DOUBT - 1)
    message = pack(build_event("purchases", "lone"))

    left_of_old, leftover = world.forward(old, message)
    assert left_of_old == NOTHING
    tries = 1
    while leftover.messages:
        assert read_ids(leftover) == ["lone"]
        world.clock.now += 120
        (leftover,) = world.forward(*leftover.messages)
        tries += 1

    assert tries == TRIES_IN_DOUBT
    assert drops == []


def test_where_everything_is_refused_all_wait(world: World, api: FakeApi) -> None:
    api.answer(400)
    left = [world.forward(pack(build_event(event_id=f"i-{number}")))[0] for number in range(4)]

    assert [read_ids(one) for one in left[2:]] == [["i-2"], ["i-3"]]


def test_batch_that_costs_too_much_goes_on_later(world: World, api: FakeApi) -> None:
    events = [
        build_event(kind, f"{kind}-{number:02}") for kind in EVENT_KINDS for number in range(50)
    ]
    for event in events[::2]:
        api.poison(event.id)

    (leftover,) = world.forward(pack(*events))

    assert leftover.messages
    assert leftover.messages[0].attempts == 1
    while leftover.messages:
        world.clock.now += 120
        (leftover,) = world.forward(*leftover.messages)
    assert len(api.events) == 100


class TimeLimit(BaseException):
    pass


def test_time_limit_in_the_midst_loses_nothing(
    world: World, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, posts = thread_backend.post_body, []

    def strike(body: bytes) -> None:
        posts.append(body)
        if len(posts) == 2:
            raise TimeLimit
        post(body)

    monkeypatch.setattr(forwarding, "post_body", strike)
    message = pack(*build_events(80))
    with pytest.raises(TimeLimit):
        world.forward(message)
    assert len(api.impressions) == 50

    monkeypatch.setattr(forwarding, "post_body", post)
    assert world.forward(message) == [NOTHING]
    assert len({event["id"] for event in api.impressions}) == 80
    assert lineage.generation == 0


def test_time_limit_of_a_probe_lets_another_out(
    world: World, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(body: bytes) -> None:
        raise TimeLimit

    world.forwarder._circuit._open_until = world.clock.now
    post = thread_backend.post_body
    monkeypatch.setattr(forwarding, "post_body", strike)
    with pytest.raises(TimeLimit):
        world.forward(pack(build_event()))

    monkeypatch.setattr(forwarding, "post_body", post)
    assert world.forward(pack(build_event())) == [NOTHING]
    assert world.waits == []


def test_receivers_hear_of_it_and_what_they_record_comes_of_it(world: World) -> None:
    seen: list[tuple[int, list[str]]] = []

    def note(events: list[Event], **kwargs: object) -> None:
        seen.append((lineage.generation, get_ids(events)))

    events_delivered.connect(note)
    try:
        world.forward(pack(build_event()))
    finally:
        events_delivered.disconnect(note)
    assert seen == [(1, ["i-1"])]


def test_several_threads_forward_at_a_time(world: World, api: FakeApi) -> None:
    api.poison("t3-5")
    left: list[Leftover] = []

    def work(number: int) -> None:
        for _ in range(3):
            left.extend(world.forward(pack(*build_events(20, prefix=f"t{number}"))))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert left == [NOTHING] * 18
    assert len({event["id"] for event in api.impressions}) == 119


@pytest.mark.usefixtures("own_backends")
def test_each_process_has_a_forwarder_of_its_own_for_each_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forwarding, "_forwarders", {})
    path = f"{__name__}.Backend"
    parent = get_forwarder(path)
    assert get_forwarder(path) is parent
    assert parent._backend is routing.get_instance(path)

    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    child = get_forwarder(path)
    assert child is not parent
    assert list(forwarding._forwarders) == [(pid + 1, path)]


def test_backend_that_does_not_exist_has_no_forwarder() -> None:
    with pytest.raises(TopsortConfigurationError):
        get_forwarder("nowhere.EventBackend")


def test_failures_are_said_without_the_shopper(
    world: World, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.answer(503)
    with caplog.at_level(logging.DEBUG):
        world.forward(pack(build_event()))
    assert "request failed waiting=1 error=ServerUnavailable" in caplog.text
    assert "shopper-1" not in caplog.text
