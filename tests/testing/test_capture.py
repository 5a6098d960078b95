"""``capture_events``: what it catches, and when on-commit callbacks run within it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, TestCase, TransactionTestCase, override_settings

from django_topsort.backends import locmem
from django_topsort.events import Event, Purchase
from django_topsort.middleware import TopsortMiddleware
from django_topsort.testing import CapturedEvents, capture_events
from django_topsort.testing.capture import EventBackend
from django_topsort.testing.contract import build_event
from django_topsort.tracking import record, track_impression, track_pageview, track_purchase


def pay(order: str = "order-1") -> None:
    """Do what a shop does: write, and report the order when that is committed."""
    with transaction.atomic():
        track_purchase(build_event("purchases", order))


def get_ids(events: CapturedEvents | list[Any]) -> list[str]:
    return [event.id for event in events]


class InTestCase(TestCase):
    """Where the transaction around the test never commits."""

    def test_purchase_is_there_when_its_transaction_has_ended(self) -> None:
        with capture_events() as events:
            pay()
            assert get_ids(events.purchases) == ["order-1"]
            with transaction.atomic():
                track_purchase(build_event("purchases", "order-2"))
                assert get_ids(events.purchases) == ["order-1"]
            assert get_ids(events.purchases) == ["order-1", "order-2"]

    def test_purchase_is_there_after_the_block(self) -> None:
        with capture_events() as events:
            pay()

        assert get_ids(events) == ["order-1"]
        assert locmem.outbox == []

    def test_purchase_that_is_rolled_back_is_none(self) -> None:
        with capture_events() as events:
            with transaction.atomic():
                track_purchase(build_event("purchases", "order-1"))
                transaction.set_rollback(True)
            pay("order-2")

        assert get_ids(events) == ["order-2"]

    def test_callbacks_run_once_in_order_also_those_of_callbacks(self) -> None:
        ran: list[str] = []

        def outer() -> None:
            ran.append("outer")
            transaction.on_commit(lambda: ran.append("inner"))

        with capture_events() as events:
            transaction.on_commit(outer)
            transaction.on_commit(partial(ran.append, "last"))
            assert len(events) == 0
            assert ran == ["outer", "last", "inner"]
            repeat = list(events)

        assert (repeat, ran) == ([], ["outer", "last", "inner"])

    def test_callbacks_of_before_the_block_are_left_alone(self) -> None:
        ran: list[str] = []
        transaction.on_commit(lambda: ran.append("before"))

        with capture_events():
            transaction.on_commit(lambda: ran.append("within"))
        transaction.on_commit(lambda: ran.append("after"))

        assert ran == ["within"]

    def test_callbacks_run_once_beside_those_of_django(self) -> None:
        ran: list[int] = []
        with capture_events() as events:
            with self.captureOnCommitCallbacks(execute=True) as inner:
                transaction.on_commit(lambda: ran.append(1))
                pay("order-1")
            assert get_ids(events.purchases) == ["order-1"]
        with self.captureOnCommitCallbacks(execute=True) as outer, capture_events() as events:
            transaction.on_commit(lambda: ran.append(2))
            pay("order-2")

        assert ran == [1, 2]
        assert (len(inner), len(outer), get_ids(events)) == (2, 2, ["order-2"])

    def test_callback_that_raises_is_logged_if_robust_else_raised(self) -> None:
        def fail() -> None:
            raise ValueError("callback")

        with (
            self.assertLogs("django_topsort.testing.commits", logging.ERROR) as logs,
            capture_events(),
        ):
            transaction.on_commit(fail, robust=True)
            transaction.on_commit(partial(fail), robust=True)
        with pytest.raises(ValueError, match="callback"), capture_events() as events:
            transaction.on_commit(fail)
        pay()

        assert len(logs.records) == 2
        assert "fail" in logs.output[0]
        assert events == []
        assert "capture" not in settings.TOPSORT_BACKENDS["default"]

    def test_what_is_no_callback_is_refused_as_ever(self) -> None:
        not_callable: Any = "report"
        with capture_events(), pytest.raises(TypeError):
            transaction.on_commit(not_callable)

    def test_transaction_around_the_block_counts_as_committed_at_its_end(self) -> None:
        with transaction.atomic(), capture_events() as events:
            pay()
            assert get_ids(events) == []

        assert get_ids(events) == ["order-1"]

    def test_block_that_raises_has_its_events_too(self) -> None:
        seen: list[CapturedEvents] = []

        @capture_events()
        def buy(events: CapturedEvents) -> None:
            seen.append(events)
            pay()
            raise KeyError

        with pytest.raises(KeyError):
            buy()  # type: ignore[call-arg]

        assert get_ids(seen[0]) == ["order-1"]

    def test_clear_forgets_what_is_committed(self) -> None:
        with capture_events() as events:
            pay()
            events.clear()
            assert events == []
            pay("order-2")

        assert get_ids(events) == ["order-2"]

    def test_inner_capture_gets_what_happens_in_it(self) -> None:
        with capture_events() as outer:
            pay("order-1")
            with capture_events() as inner:
                pay("order-2")
                assert get_ids(inner) == ["order-2"]
                pay("order-3")
            pay("order-4")

        assert get_ids(inner) == ["order-2", "order-3"]
        assert get_ids(outer) == ["order-1", "order-4"]
        assert "on_commit" not in vars(connection._connections[connection._alias])  # type: ignore[attr-defined]

    def test_another_thread_sees_events_but_runs_no_callback(self) -> None:
        seen: list[int] = []
        with capture_events() as events:
            pay()
            thread = threading.Thread(target=lambda: seen.append(len(events)))
            thread.start()
            thread.join()
            assert seen == [0]
            assert len(events) == 1

    @capture_events()
    def test_decorator_gives_events_to_a_method(self, events: CapturedEvents) -> None:
        pay()
        assert get_ids(events.purchases) == ["order-1"]

    async def test_async_block_runs_callbacks_in_the_database_thread(self) -> None:
        apay = asyncio_to_sync(pay)
        async with capture_events() as events:
            await apay("order-1")
            assert get_ids(events) == []
            await events.acommit()
            assert get_ids(events) == ["order-1"]
            await apay("order-2")

        assert get_ids(events) == ["order-1", "order-2"]

    @capture_events
    async def test_async_decorator_gives_events_to_a_method(self, events: CapturedEvents) -> None:
        await asyncio_to_sync(pay)("order-1")
        await events.acommit()
        assert get_ids(events.purchases) == ["order-1"]


def asyncio_to_sync(function: Callable[..., Any]) -> Callable[..., Any]:
    from asgiref.sync import sync_to_async

    return sync_to_async(function)


class InTransactionTestCase(TransactionTestCase):
    """Where transactions commit, and Django runs the callbacks."""

    def test_purchase_is_there_when_its_transaction_has_ended(self) -> None:
        with capture_events() as events:
            pay()
            assert get_ids(events.purchases) == ["order-1"]
            with transaction.atomic():
                track_purchase(build_event("purchases", "order-2"))
                assert len(events) == 1
            assert len(events) == 2
            track_purchase(build_event("purchases", "order-3"))
            assert len(events) == 3

    def test_callbacks_run_once(self) -> None:
        ran: list[int] = []
        with capture_events() as events:
            with transaction.atomic():
                transaction.on_commit(lambda: ran.append(1))
            transaction.on_commit(lambda: ran.append(2))
            assert list(events) == []

        assert ran == [1, 2]

    def test_transaction_around_the_block_is_left_to_the_database(self) -> None:
        with transaction.atomic():
            with capture_events() as events:
                pay()
            assert get_ids(events) == []

        # It commits after the block: its events go where they would have gone without one.
        assert get_ids(events) == []
        assert get_ids(locmem.outbox) == ["order-1"]


def test_every_kind_goes_to_the_capture_whatever_the_settings_say() -> None:
    sent = [build_event(kind) for kind in ("impressions", "clicks", "pageviews", "purchases")]
    backends = {
        "default": "django_topsort.backends.locmem.EventBackend",
        "clicks": "django_topsort.backends.http.EventBackend",
    }
    with override_settings(TOPSORT_BACKENDS=backends), capture_events() as events:
        for event in sent:
            record(event)

    assert events == sent
    assert events.impressions == sent[:1]
    assert events.clicks == sent[1:2]
    assert events.pageviews == sent[2:3]
    assert events.purchases == sent[3:]
    assert locmem.outbox == []


def test_events_of_a_request_are_there_when_it_is_complete(rf: RequestFactory) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        track_pageview(request, "category", "shoes")
        track_impression(request, "shoe-1", position=1)
        return HttpResponse()

    with capture_events() as events:
        TopsortMiddleware(view)(rf.get("/shoes/", headers={"user-agent": "Mozilla/5.0"}))
        assert [event.kind for event in events] == ["pageviews", "impressions"]
        assert events.impressions[0].entity is not None
        assert events.impressions[0].entity.id == "shoe-1"


def test_events_of_other_threads_are_caught() -> None:
    def work() -> None:
        for _ in range(50):
            record(build_event("clicks"))

    with capture_events() as events:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(events) == 300


def test_captured_events_are_a_read_only_list() -> None:
    sent: list[Event] = [build_event("clicks"), build_event("impressions")]
    with capture_events() as events:
        record(sent[0])
        record(sent[1])

    assert (len(events), events[0], events[-1], events[:1]) == (2, sent[0], sent[1], sent[:1])
    assert sent[1] in events
    assert events == sent
    assert events == tuple(sent)
    assert events != sent[:1]
    assert events != 5
    assert bool(events)
    assert repr(events) == f"<CapturedEvents {sent!r}>"
    assert not hasattr(events, "append")


def test_event_that_comes_after_the_block_is_not_kept() -> None:
    with capture_events() as events:
        pass

    EventBackend().send_events([build_event("clicks")])

    assert events == []


def test_settings_are_as_before_after_the_block() -> None:
    before = settings.TOPSORT_BACKENDS

    with capture_events():
        assert before != settings.TOPSORT_BACKENDS

    assert before == settings.TOPSORT_BACKENDS


@capture_events()
def test_decorator_gives_events_to_a_function(events: CapturedEvents, rf: RequestFactory) -> None:
    assert isinstance(rf, RequestFactory)
    record(build_event("clicks"))
    assert len(events.clicks) == 1


@capture_events
def test_decorator_needs_no_brackets_and_no_argument() -> None:
    record(build_event("clicks"))
    assert locmem.outbox == []


@capture_events()
async def test_decorator_gives_events_to_a_coroutine(events: CapturedEvents) -> None:
    await asyncio.sleep(0)
    record(build_event("clicks"))
    assert len(events.clicks) == 1


def test_decorated_function_captures_each_call_anew() -> None:
    @capture_events()
    def shop(kind: str, events: CapturedEvents) -> CapturedEvents:
        """Sell."""
        record(build_event(kind))
        return events

    shop_once: Any = shop

    assert [event.kind for event in shop_once("clicks")] == ["clicks"]
    assert [event.kind for event in shop_once(kind="pageviews")] == ["pageviews"]
    assert (shop.__name__, shop.__doc__) == ("shop", "Sell.")


def test_class_cannot_be_decorated() -> None:
    with pytest.raises(TypeError, match="InTestCase is a class; decorate its test methods"):
        capture_events(InTestCase)


def test_purchase_keeps_what_was_reported(db: None) -> None:
    with capture_events() as events:
        pay("order-7")

    (purchase,) = events.purchases
    assert isinstance(purchase, Purchase)
    assert purchase.items[0].product_id == "shoe-1"
