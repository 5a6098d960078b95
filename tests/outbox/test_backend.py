"""Rows are written with the order, and go when Topsort has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import modify_settings

from django_topsort import routing
from django_topsort.accounts import accounts
from django_topsort.backends import locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.delivery import flush
from django_topsort.events import EVENT_KINDS, Event
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.models import OutboxEvent
from django_topsort.purchases.announcements import Announcement
from django_topsort.signals import order_paid
from django_topsort.testing import BackendContract, FakeApi
from django_topsort.tracking import record, track_purchase
from django_topsort.wire import decode_request
from tests.orders import PLACED, place_order
from tests.outbox.conftest import LOCMEM, OUTBOX
from tests.sending.engine import build_event, build_events
from tests.shop.models import Order
from tests.strategies import build_full_events

pytestmark = pytest.mark.django_db(transaction=True)
SHOPPER = "0190d8f2-0000-7000-8000-000000000000"


def get_rows() -> list[tuple[str, str, str]]:
    rows = OutboxEvent.objects.order_by("pk")
    return list(rows.values_list("kind", "event_id", "status"))


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
class TestContract(BackendContract):
    @pytest.fixture(autouse=True)
    def _api(self, api: FakeApi, shared_database: str) -> None:
        self.api = api

    def make_backend(self) -> BaseEventBackend:
        self.api.clear()
        OutboxEvent.objects.all().delete()
        return EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(event.kind, event["id"]) for event in self.api.events]


def test_paid_order_is_a_row_from_its_commit_on(api: FakeApi) -> None:
    with transaction.atomic():
        order = place_order()
        order_paid.send(sender=Order, order=order, opaque_user_id=SHOPPER)
        assert get_rows() == [("purchases", "1001", "announced")]

    assert get_rows() == [("purchases", "1001", "pending")]
    assert flush()
    assert [event["id"] for event in api.purchases] == ["1001"]
    assert get_rows() == [("purchases", "1001", "delivered")]


def test_order_that_is_rolled_back_leaves_no_row() -> None:
    with transaction.atomic():
        track_purchase(place_order(), opaque_user_id=SHOPPER)
        transaction.set_rollback(True)

    assert not Order.objects.exists()
    assert get_rows() == []


def test_order_outside_of_a_transaction_is_a_row_at_once() -> None:
    track_purchase(place_order(), opaque_user_id=SHOPPER)

    assert get_rows() == [("purchases", "1001", "pending")]


def test_order_whose_lines_come_after_its_announcement_is_read_at_the_commit(api: FakeApi) -> None:
    with transaction.atomic():
        order = Order.objects.create(number="1001", date_placed=PLACED)
        track_purchase(order, opaque_user_id=SHOPPER)
        order.lines.create(sku="shoe-1", line_price_incl_tax="59.90")

    assert flush()
    (purchase,) = api.purchases
    assert [item["productId"] for item in purchase["items"]] == ["shoe-1"]


def test_order_that_is_announced_twice_is_sent_once(
    api: FakeApi, drops: list[tuple[str, str, int]]
) -> None:
    order = place_order()
    for _ in range(2):
        with transaction.atomic():
            track_purchase(order, opaque_user_id=SHOPPER)
            track_purchase(order, opaque_user_id=SHOPPER)
    assert flush()
    track_purchase(order, opaque_user_id=SHOPPER)

    assert flush()
    assert get_rows() == [("purchases", "1001", "delivered")]
    assert len(api.requests) == 1
    assert drops == [("purchases", "duplicate", 1)] * 4


def test_two_orders_of_one_number_are_named_in_a_warning(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    place_order()
    track_purchase(Order.objects.get(), opaque_user_id=SHOPPER)
    track_purchase(Order.objects.get(), opaque_user_id=SHOPPER)
    assert caplog.messages == []

    other = {"number": "1001", "lines": [{"sku": "tent-1", "line_total": "5.00"}]}
    track_purchase(other, opaque_user_id=SHOPPER)

    [message] = caplog.messages
    assert message.startswith("purchase there already with other items order=1001;")


def test_order_that_is_no_purchase_yet_leaves_no_row() -> None:
    with transaction.atomic():
        track_purchase(Order.objects.create(number="1001", date_placed=PLACED))
        assert get_rows() == [("purchases", "1001", "announced")]

    assert get_rows() == []


def test_order_of_nobody_leaves_no_row_and_is_named(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic():
        track_purchase(place_order())

    assert get_rows() == []
    assert drops == [("purchases", "no_shopper", 1)]
    assert "order=1001" in caplog.text


def test_order_that_is_no_model_is_kept_as_it_was_announced(api: FakeApi) -> None:
    order: dict[str, Any] = {"number": "7", "lines": [{"sku": "a", "line_total": "5.00"}]}
    with transaction.atomic():
        track_purchase(order, opaque_user_id=SHOPPER)
        assert get_rows() == [("purchases", "7", "announced")]

    assert flush()
    assert [event["id"] for event in api.purchases] == ["7"]


def test_order_of_no_shape_is_announced_by_nobody(drops: list[tuple[str, str, int]]) -> None:
    with transaction.atomic():
        track_purchase({"number": "7", "lines": []}, opaque_user_id=SHOPPER)
        track_purchase({"number": "8", "lines": [{"sku": "a", "line_total": "5.00"}]})
        track_purchase(Order(number="9", date_placed=PLACED), opaque_user_id=SHOPPER)

    assert get_rows() == []
    assert drops == [("purchases", "no_shopper", 1), ("purchases", "not_saved", 1)]


def test_finished_purchase_is_a_row_of_its_transaction() -> None:
    with transaction.atomic():
        record(build_event("purchases", "rolled-back"))
        transaction.set_rollback(True)
    with transaction.atomic():
        record(build_event("purchases", "committed"))

    assert get_rows() == [("purchases", "committed", "pending")]


def test_counts_say_what_was_stored_and_what_was_taken(api: FakeApi) -> None:
    before = accounts.get_counts()["purchases"]
    with transaction.atomic():
        track_purchase(place_order(), opaque_user_id=SHOPPER)
    stored = accounts.get_counts()["purchases"]

    assert flush()

    after = accounts.get_counts()["purchases"]
    assert stored["recorded"] == stored["stored"] - before["stored"] + before["recorded"]
    assert after["taken"] - before["taken"] == after["delivered"] - before["delivered"] == 1
    assert before["waiting"] == stored["waiting"] == after["waiting"]


def test_rolled_back_order_is_not_counted() -> None:
    before = accounts.get_counts()
    with transaction.atomic():
        track_purchase(place_order(), opaque_user_id=SHOPPER)
        transaction.set_rollback(True)

    assert accounts.get_counts() == before


def test_any_kind_can_be_stored(api: FakeApi, settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": OUTBOX}
    settings.TOPSORT_OUTBOX_RELAY = False  # so that all wait for one request
    for kind in EVENT_KINDS:
        record(build_event(kind, kind))

    assert flush()
    assert sorted(event["id"] for event in api.events) == sorted(EVENT_KINDS)
    assert len(api.requests) == 1


@pytest.fixture
def no_table() -> Iterator[None]:
    """Take the outbox's table away, as in a shop that has not migrated."""
    with connection.schema_editor() as editor:
        editor.delete_model(OutboxEvent)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(OutboxEvent)


@pytest.mark.usefixtures("no_table")
def test_order_commits_without_the_table_and_its_purchase_goes_by_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with transaction.atomic():
        order = place_order()
        track_purchase(order, opaque_user_id=SHOPPER)
        assert locmem.outbox == []

    assert Order.objects.count() == 1
    assert [event.id for event in locmem.outbox] == ["1001"]
    assert "Is it migrated?" in caplog.text
    assert any(record.levelname == "ERROR" for record in caplog.records)
    assert SHOPPER not in caplog.text


def test_rows_that_are_new_are_written_beside_those_that_are_there(
    drops: list[tuple[str, str, int]],
) -> None:
    backend = EventBackend()
    backend.send_events(build_events(2, "purchases"))

    backend.send_events(build_events(3, "purchases"))

    assert len(get_rows()) == 3
    assert drops == [("purchases", "duplicate", 2)]


def test_event_of_a_foreign_transaction_is_not_lost_with_it(settings: Any) -> None:
    """A click has happened though the transaction around it is rolled back."""
    settings.TOPSORT_BACKENDS = {"default": OUTBOX, "overflow": OUTBOX}
    memory = locmem.EventBackend()
    routing._backends["django_topsort.backends.thread.EventBackend"] = memory
    overflow = routing.get_overflow()
    assert overflow is not None
    events = build_events(2, "clicks")
    with transaction.atomic():
        record(build_event("clicks", "1"))
        assert overflow.take_over(events) is events
        transaction.set_rollback(True)

    assert [event.id for event in locmem.outbox] == ["1"]
    assert get_rows() == []


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_order_of_another_database_is_not_lost_with_the_outbox_s_transaction() -> None:
    with transaction.atomic():
        with transaction.atomic(using="other"):
            track_purchase(place_order(using="other"), opaque_user_id=SHOPPER)
        transaction.set_rollback(True)

    assert Order.objects.using("other").count() == 1
    assert [event.id for event in locmem.outbox] == ["1001"]


@pytest.mark.usefixtures("no_table")
def test_memory_is_the_threads_where_the_default_is_the_outbox_itself(
    api: FakeApi, settings: Any
) -> None:
    settings.TOPSORT_BACKENDS = {"default": OUTBOX}
    record(build_event("purchases", "1001"))

    api.wait_for(1, "purchases")


@pytest.mark.usefixtures("no_table")
def test_overflow_that_fails_leaves_the_events_to_whoever_asks(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "overflow": OUTBOX}
    events = build_events(2)

    assert routing.get_backend().overflow(events) == events
    assert "overflow failed events=2" in caplog.text


def test_overflow_keeps_what_it_is_given_and_asks_nobody_itself(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "overflow": OUTBOX}
    overflow = routing.get_overflow()
    assert overflow is not None

    assert list(routing.get_backend().overflow(build_events(2))) == []
    assert list(routing.get_backend().overflow([])) == []
    assert len(get_rows()) == 2
    assert len(overflow.overflow(build_events(1))) == 1


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_order_in_another_database_is_reported_on_its_commit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with transaction.atomic(using="other"):
        track_purchase(place_order(using="other"), opaque_user_id=SHOPPER)
        assert get_rows() == []

    assert get_rows() == [("purchases", "1001", "pending")]
    assert "using=other outbox=default" in caplog.text


def test_failed_event_is_renewed_when_its_order_is_announced_again(api: FakeApi) -> None:
    order = place_order()
    with api.poison("1001"):
        track_purchase(order, opaque_user_id=SHOPPER)
        record(build_event("purchases", "another"))
        assert flush()
    assert get_rows()[0] == ("purchases", "1001", "rejected")
    order.lines.update(line_price_incl_tax="1.00")

    track_purchase(order, opaque_user_id=SHOPPER)

    assert flush()
    assert get_rows()[0] == ("purchases", "1001", "delivered")
    assert {str(item["unitPrice"]) for item in api.purchases[1]["items"]} == {"0.50", "1.00"}


def test_reader_that_fails_for_now_leaves_the_announcement_to_the_relay(
    api: FakeApi, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_ORDER_READER = fail_to_read
    with transaction.atomic():
        track_purchase(place_order(), opaque_user_id=SHOPPER)
    assert get_rows() == [("purchases", "1001", "announced")]
    assert "purchase not reported yet order=1001" in caplog.text

    del settings.TOPSORT_ORDER_READER
    OutboxEvent.objects.update(due_at=PLACED)

    assert flush()
    assert [event["id"] for event in api.purchases] == ["1001"]
    assert get_rows() == [("purchases", "1001", "delivered")]


def fail_to_read(order: object) -> None:
    raise ConnectionError("the price list does not answer")


def test_announcement_that_cannot_be_written_or_withdrawn_breaks_nothing(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_BACKENDS = {"default": f"{__name__}.Clumsy"}
    with transaction.atomic():
        Clumsy.is_able = False
        track_purchase(place_order("1"), opaque_user_id=SHOPPER)
        Clumsy.is_able = True
        track_purchase(place_order("2"), opaque_user_id=SHOPPER)

    assert [event.id for event in Clumsy.taken] == ["1", "2"]
    assert "order not announced order=1" in caplog.text
    assert "announcement not withdrawn order=2" in caplog.text


class Clumsy(BaseEventBackend):
    """Drops what it holds."""

    transactional = True
    is_able = True
    taken: list[Event] = []

    def send_events(self, events: Sequence[Event]) -> None:
        self.taken.extend(events)

    def announce(self, announcement: Announcement) -> bool:
        if not self.is_able:
            raise ZeroDivisionError
        return True

    def withdraw(self, announcement: Announcement) -> None:
        raise ZeroDivisionError


def test_app_that_is_not_installed_is_an_error_with_a_hint() -> None:
    assert EventBackend().check() == []
    with modify_settings(INSTALLED_APPS={"remove": "django_topsort.outbox"}):
        (error,) = EventBackend().check()

    assert error.id == "django_topsort.E042"
    assert "INSTALLED_APPS" in str(error.hint)


def test_event_is_sent_as_it_was_recorded(api: FakeApi, settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": OUTBOX}
    settings.TOPSORT_OUTBOX_RELAY = False  # so that all wait for one request
    events = [*build_full_events(), build_event("clicks", "klick-ä\u2603\U0001f600-\x00")]
    for event in events:
        record(event)

    assert all(row.payload.isascii() for row in OutboxEvent.objects.all())
    assert flush()
    (request,) = api.requests
    assert sorted(map(str, decode_request(request.body))) == sorted(map(str, events))
