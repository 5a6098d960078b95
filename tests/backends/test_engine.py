"""What the engines' backends have in common, with an engine that is a list."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import force_setattr

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.backends.base import BaseEventBackend
from django_topsort.backends.engine import (
    MAX_MESSAGE,
    EngineBackend,
    Message,
    build_messages,
    read_message,
)
from django_topsort.delivery import deliver_safely
from django_topsort.events import (
    EVENT_KINDS,
    Event,
    Impression,
    Placement,
    Purchase,
    PurchaseItem,
)
from django_topsort.exceptions import InvalidEvent
from django_topsort.sending.publisher import PATIENCE as LONGEST_WAIT
from django_topsort.testing import BackendContract, FakeApi
from django_topsort.userlinks import UserLink
from tests.logs import handle_log
from tests.scripts import run_script
from tests.sending.engine import PATIENCE, build_event, build_events, get_ids, wait_until

THREAD = "django_topsort.backends.thread.EventBackend"
LOCMEM = "django_topsort.backends.locmem.EventBackend"
HERE = f"{__name__}.ListBackend"
KEEPER = f"{__name__}.Keeper"


class ListBackend(EngineBackend):
    """Keeps messages in a list, fails or hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.error: Exception | None = None
        self.seconds = 0.0
        self.released = threading.Event()
        self.released.set()
        self.then: Callable[[], object] = str

    def publish(self, message: Message) -> None:
        assert self.released.wait(PATIENCE)
        self.then()
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        self.messages.append(message)

    @property
    def events(self) -> list[Event]:
        return [event for message in self.messages for event in read_message(message)]


class Keeper(BaseEventBackend):
    """An overflow, or a memory: takes all but what it is told to leave."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Event] = []
        self.links: list[UserLink] = []
        self.is_full = False
        self.is_closed = False

    def send_events(self, events: Sequence[Event]) -> None:
        if self.is_full:
            raise OSError("a disk is full")
        self.kept += events

    def link_users(self, link: UserLink) -> None:
        self.links.append(link)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def memory() -> Keeper:
    return Keeper()


@pytest.fixture
def backend(memory: Keeper) -> Iterator[ListBackend]:
    backend = ListBackend()
    backend.get_memory = lambda: memory
    yield backend
    backend.released.set()
    backend.close()


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_FLUSH_INTERVAL = 0.01
        yield api


class TestContract(BackendContract):
    def make_backend(self) -> BaseEventBackend:
        backend = ListBackend()
        backend.get_memory = Keeper  # a machine with other things to do may let us wait
        return backend

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        assert isinstance(backend, ListBackend)
        return [(event.kind, event.id) for event in backend.events]

    @pytest.fixture(autouse=True)
    def _patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("django_topsort.backends.engine.PATIENCE", PATIENCE)


def send(backend: EngineBackend, events: Sequence[Event]) -> None:
    """Send as the delivery does."""
    accounts.count_recorded(events)
    backend.send_events(events)


def get_waiting() -> int:
    return sum(counts["waiting"] for counts in accounts.get_counts().values())


def build_long(event_id: str, path: str = "") -> Impression:
    placement = Placement(path=path or "/" + "p" * 2000)
    return Impression(
        id=event_id, opaque_user_id="shopper", resolved_bid_id="bid", placement=placement
    )


def test_backend_must_say_how_it_publishes() -> None:
    class Half(EngineBackend):
        pass

    with pytest.raises(NotImplementedError, match=r"Half must define publish\(message\)"):
        Half().publish(Message("{}", 0.0))


def test_request_is_one_message_with_the_time_of_its_handing_over(backend: ListBackend) -> None:
    before, waiting = time.time(), get_waiting()
    events = [build_event(kind, f"{kind}-1") for kind in EVENT_KINDS]

    send(backend, events)

    assert backend.flush(PATIENCE)
    (message,) = backend.messages
    assert read_message(message) == events
    assert before <= message.since <= time.time()
    assert message.attempts == 0
    assert get_waiting() == waiting
    assert backend.get_state() == {"is_paused": False}


def test_messages_have_128_kib_at_most() -> None:
    events = [build_long(f"i-{number}") for number in range(150)]

    messages = build_messages(events, 12.5, 3)

    assert len(messages) == 4
    assert max(len(message.body.encode()) for message in messages) <= MAX_MESSAGE
    assert [event for one in messages for event in read_message(one)] == events
    assert {(message.since, message.attempts) for message in messages} == {(12.5, 3)}


def test_event_that_is_longer_goes_alone() -> None:
    items = (PurchaseItem(product_id="shoe", unit_price=Decimal("9.95")),) * 4500
    events = [build_event(), Purchase(id="huge", opaque_user_id="shopper", items=items)]

    messages = build_messages(events, 0.0)

    assert [get_ids(read_message(message)) for message in messages] == [["i-1"], ["huge"]]
    assert len(messages[1].body) > MAX_MESSAGE


def test_message_that_is_none_cannot_be_read() -> None:
    with pytest.raises(InvalidEvent):
        read_message(Message("[]", 0.0))


def test_request_with_many_messages_waits_for_50_ms_in_all(
    backend: ListBackend, memory: Keeper
) -> None:
    backend.seconds = LONGEST_WAIT * 0.8
    events = [build_long(f"i-{number}") for number in range(500)]
    began = time.monotonic()
    send(backend, events)
    waited = time.monotonic() - began

    assert backend.flush(PATIENCE)
    assert waited < LONGEST_WAIT * 8  # of 16 messages
    assert len(backend.messages) <= 3
    assert sorted(get_ids([*backend.events, *memory.kept])) == sorted(get_ids(events))


def test_what_is_not_installed_is_named(
    backend: ListBackend, memory: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    backend.error = ModuleNotFoundError("No module named 'redis'", name="redis")

    send(backend, build_events(2))

    assert backend.flush(PATIENCE)
    assert "events=2 error=ModuleNotFoundError(redis);" in caplog.text


def test_what_the_broker_refuses_goes_to_the_overflow(
    backend: ListBackend, memory: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[Event] = []

    def overflow(events: Sequence[Event]) -> Sequence[Event]:
        taken.append(events[0])
        return events[1:]

    backend.overflow = overflow
    backend.error = OSError("amqp://user:secret@broker")
    events = build_events(3)

    send(backend, events)

    assert backend.flush(PATIENCE)
    assert taken == events[:1]
    assert memory.kept == events[1:]
    assert "not given to the engine" in caplog.text
    assert "events=3 error=OSError; they take another way" in caplog.text
    assert "secret" not in caplog.text


def test_what_the_overflow_takes_is_not_in_memory(backend: ListBackend, memory: Keeper) -> None:
    backend.overflow = lambda events: ()
    backend.error = OSError("no broker")
    send(backend, build_events(3))
    accounts.count_stored(build_events(3))  # as an overflow does
    assert memory.kept == []


def test_what_nobody_has_is_dropped_and_counted(
    backend: ListBackend, memory: Keeper, drops: list[tuple[str, str, int]]
) -> None:
    waiting = get_waiting()
    backend.error = OSError("no broker")
    memory.is_full = True
    send(backend, build_events(3))
    backend.get_memory = lambda: None
    send(backend, build_events(2, "clicks"))
    assert drops == [("impressions", "overflow", 3), ("clicks", "overflow", 2)]
    assert get_waiting() == waiting


def test_event_that_cannot_be_written_takes_the_way_of_all_that_cannot(
    backend: ListBackend, memory: Keeper
) -> None:
    """The thread backend finds out which it is, and delivers the others."""
    broken = build_event(event_id="broken")
    force_setattr(broken, "resolved_bid_id", "\ud800")
    events = [build_event(), broken]

    send(backend, events)

    assert memory.kept == events
    assert backend.messages == []


def test_log_handler_that_raises_costs_nothing(backend: ListBackend, memory: Keeper) -> None:
    def throw(record: logging.LogRecord) -> None:
        raise ValueError("the disk of the logs is full")

    backend.error = OSError("no broker")
    with handle_log(throw, logging.WARNING):
        send(backend, build_events(1))
    assert get_ids(memory.kept) == ["impressions-0"]
    assert backend.flush(PATIENCE)


def test_hanging_broker_costs_a_request_50_ms_and_no_event(
    backend: ListBackend, memory: Keeper
) -> None:
    backend.released.clear()
    send(backend, [build_event(event_id="hanging")])
    wait_until(lambda: backend.get_state()["is_paused"])
    began = time.monotonic()
    for number in range(100):
        send(backend, [build_event(event_id=f"next-{number}")])
    assert time.monotonic() - began < PATIENCE / 2
    assert len(memory.kept) >= 100

    backend.error = OSError("reset")
    backend.released.set()
    assert backend.flush(PATIENCE)
    assert len(memory.kept) == 101


def test_overflow_of_another_takes_over_and_returns_the_rest(backend: ListBackend) -> None:
    events = build_events(2)
    assert list(backend.take_over([])) == []
    assert list(backend.take_over(events)) == []
    backend.error = OSError("no broker")
    assert list(backend.take_over(events)) == events
    assert get_ids(backend.events) == get_ids(events)


def test_links_of_users_take_the_lane_of_the_memory(backend: ListBackend, memory: Keeper) -> None:
    link = UserLink("guest", "customer")
    backend.link_users(link)
    assert memory.links == [link]

    backend.get_memory = lambda: None
    dropped = accounts.get_link_counts()["reasons"].get("no_backend", 0)
    backend.link_users(link)
    assert accounts.get_link_counts()["reasons"]["no_backend"] == dropped + 1


def test_close_gives_to_the_memory_what_hangs_and_ends_it(
    backend: ListBackend, memory: Keeper, settings: Any
) -> None:
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 0.1
    backend.released.clear()
    backend._publisher.put(build_messages(build_events(1), 0.0)[0], build_events(1), 0.3)

    backend.close()

    assert get_ids(memory.kept) == ["impressions-0"]
    assert memory.is_closed
    backend.close()
    assert len(memory.kept) == 1


def test_close_without_a_memory_drops_what_hangs(
    backend: ListBackend, settings: Any, drops: list[tuple[str, str, int]]
) -> None:
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 0.1
    backend.get_memory = lambda: None
    backend.released.clear()
    backend._publisher.put(build_messages(build_events(1), 0.0)[0], build_events(1), 0.3)

    backend.close()

    assert drops == [("impressions", "overflow", 1)]


@pytest.mark.usefixtures("own_backends")
def test_events_of_a_page_reach_topsort_from_memory_while_the_broker_is_down(
    settings: Any, api: FakeApi
) -> None:
    settings.TOPSORT_BACKENDS = {"default": HERE}
    backend = routing.get_backend()
    assert isinstance(backend, ListBackend)
    backend.error = OSError("no broker")

    deliver_safely(build_events(3))

    api.wait_for(3)
    assert backend.messages == []


@pytest.mark.usefixtures("own_backends")
def test_engine_as_overflow_of_the_memory_goes_round_no_further(
    settings: Any, api: FakeApi, drops: list[tuple[str, str, int]]
) -> None:
    """Neither Topsort nor the broker is there: what does not fit is dropped, once."""
    settings.TOPSORT_BACKENDS = {"default": THREAD, "overflow": HERE}
    settings.TOPSORT_QUEUE_SIZE = 10
    settings.TOPSORT_FLUSH_INTERVAL = 60.0
    engine = routing.get_overflow()
    assert isinstance(engine, ListBackend)
    engine.error = OSError("no broker")
    waiting = get_waiting()

    deliver_safely(build_events(30))
    routing.get_backend().flush(0.2)
    engine.error = None
    deliver_safely(build_events(30, prefix="later"))
    assert routing.get_backend().flush(PATIENCE)

    wait_until(lambda: get_waiting() == waiting)
    dropped = sum(count for _, reason, count in drops if reason == "overflow")
    assert len(api.impressions) + len(engine.events) + dropped == 60


@pytest.mark.usefixtures("own_backends")
def test_engine_that_is_its_own_overflow_keeps_nothing_to_itself(
    settings: Any, api: FakeApi
) -> None:
    settings.TOPSORT_BACKENDS = {"default": HERE, "overflow": HERE}
    backend = routing.get_backend()
    assert isinstance(backend, ListBackend)
    backend.error = OSError("no broker")

    deliver_safely(build_events(2))

    api.wait_for(2)


ENDING = """
import sys, threading
import django
from django.conf import settings
settings.configure(
    TOPSORT_BACKENDS={{"default": "tests.backends.test_engine.ListBackend"}},
    TOPSORT_API_URL={url!r}, TOPSORT_API_KEY="TSE_tests", TOPSORT_FLUSH_INTERVAL=60.0,
)
django.setup()
from django_topsort import routing
from django_topsort.delivery import deliver_safely
from tests.sending.engine import build_event

backend = routing.get_backend()
if {has_used_memory}:
    backend.error = OSError("no broker")
    deliver_safely([build_event(event_id="before")])
    backend.error = None
backend.released.clear()
backend._publisher.put("hang", [build_event(event_id="hanging")], 0.5)
"""


@pytest.mark.parametrize("has_used_memory", [False, True])
def test_process_that_ends_posts_what_the_broker_has_not_taken(*, has_used_memory: bool) -> None:
    with FakeApi() as api:
        code = ENDING.format(url=api.url, has_used_memory=has_used_memory)
        result = run_script(code)

        assert result.returncode == 0, result.stderr
        ids = [event["id"] for event in api.impressions]
        assert sorted(ids) == (["before", "hanging"] if has_used_memory else ["hanging"])
