"""``manage.py topsort_report_orders``: which orders it reports, and where it ends."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_topsort import backfill
from django_topsort.management.commands import topsort_report_orders
from django_topsort.outbox import background, testruns
from django_topsort.outbox.models import OutboxEvent
from django_topsort.purchases.buyers import remember_buyer, remember_refusal
from django_topsort.purchases.reader import OrderReader
from django_topsort.signals import event_recorded
from django_topsort.testing import FakeApi
from tests.shop.models import Line, Order

pytestmark = pytest.mark.django_db(transaction=True)

OUTBOX = "django_topsort.outbox.backend.EventBackend"
HTTP = "django_topsort.backends.http.EventBackend"
THREAD = "django_topsort.backends.thread.EventBackend"
FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)
SINCE = ("--since", "2026-11-01", "--rate", "1000000")


@pytest.fixture(autouse=True)
def api(settings: Any, own_backends: None) -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_BACKENDS = {"default": HTTP}
        yield api


@pytest.fixture
def outbox(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(testruns, "test_run", testruns.TestRun())
    settings.TOPSORT_BACKENDS = {"default": HTTP, "purchases": OUTBOX}
    yield
    background.close_relay()


@pytest.fixture
def lists_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topsort_report_orders, "ORDERS_AT_ONCE", 2)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def place(number: str, days: float = 0, shopper: str = "shopper-1", total: str = "9.90") -> Order:
    order = Order.objects.create(number=number, date_placed=FIRST + timedelta(days=days))
    Line.objects.create(order=order, sku="p-1", line_price_incl_tax=total)
    if shopper:
        remember_buyer(number, shopper)
    return order


def call(*args: str, label: str = "shop.Order") -> tuple[int, str]:
    """Return the exit code of the command, and what it says on both channels."""
    out = StringIO()
    code: Any = 0
    try:
        call_command("topsort_report_orders", label, *args, stdout=out, stderr=out, no_color=True)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue()


def report(*args: str, label: str = "shop.Order") -> str:
    code, said = call(*SINCE, *args, label=label)
    assert code == 0
    return said


def fail(*args: str, label: str = "shop.Order") -> str:
    with pytest.raises(CommandError) as raised:
        call(*args, label=label)
    return str(raised.value)


def get_place(said: str) -> str:
    found = re.findall("^Go on with: --after (.*)$", said, re.MULTILINE)
    return ",".join(found)


def get_numbers(api: FakeApi) -> list[str]:
    return [event["id"] for event in api.purchases]


# Which orders


def test_orders_since_a_day_are_reported_by_the_time_they_were_placed(api: FakeApi) -> None:
    for number, days in (("3", 2), ("1", 0), ("2", 1), ("old", -1)):
        place(number, days)

    said = report()

    assert get_numbers(api) == ["1", "2", "3"]
    assert api.purchases[0]["occurredAt"] == "2026-11-01T12:00:00Z"
    assert "Orders read: 3\n  reported: 3\n  already reported: 0\n" in said


def test_orders_until_a_day_leave_that_day_out(api: FakeApi) -> None:
    place("1")
    place("2", 1)

    report("--until", "2026-11-02")

    assert get_numbers(api) == ["1"]


def test_orders_of_one_moment_are_each_reported_once(api: FakeApi, lists_of_two: None) -> None:
    for number in range(7):
        place(f"{number}")

    report()

    assert get_numbers(api) == [f"{number}" for number in range(7)]


def test_orders_are_read_in_short_lists_without_an_offset(lists_of_two: None) -> None:
    for number in range(5):
        place(f"{number}", number)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        report("--dry-run")

    reads = [one["sql"] for one in queries if "ORDER BY" in one["sql"] and "LIMIT 2" in one["sql"]]
    assert len(reads) == 4
    assert [sql for sql in reads if "OFFSET" in sql] == []


def test_run_goes_on_behind_the_place_that_another_printed(api: FakeApi) -> None:
    place("1")
    where = get_place(report())
    place("2")
    place("3", 1)

    code, said = call("--after", where)

    assert code == 0
    assert get_numbers(api) == ["1", "2", "3"]
    assert "Orders read: 2" in said


def test_nothing_to_report_prints_no_place() -> None:
    assert "Go on with" not in report()


def test_run_that_finds_nothing_new_prints_its_place_again_or_none(api: FakeApi) -> None:
    place("1")
    where = get_place(report())

    code, said = call("--after", where)
    assert (code, "Go on with" in said) == (0, False)


def test_orders_without_a_zone_are_read_in_the_shops_own(api: FakeApi, settings: Settings) -> None:
    place("1")

    report("--until", "2026-11-01T13:00:00.000001")  # in Berlin it is 13:00
    assert get_numbers(api) == ["1"]
    assert call("--since", "2026-11-01T12:00:00.000001+00:00")[0] == 0
    assert get_numbers(api) == ["1"]


def test_project_without_time_zones_has_naive_bounds(settings: Settings) -> None:
    settings.USE_TZ = False
    Order.objects.create(number="1", date_placed=FIRST.replace(tzinfo=None))

    code, said = call("--since", "2026-11-01T11:00:00+00:00", "--dry-run")
    assert (code, "Orders read: 1" in said) == (0, True)
    code, said = call("--since", "2026-11-02", "--dry-run")
    assert (code, "Orders read: 0" in said) == (0, True)


# What is said of them


def test_dry_run_lists_orders_and_sends_nothing(api: FakeApi) -> None:
    place("1")

    said = report("--dry-run")

    assert "would report: 1 (items: 1)\n" in said
    assert "  would be reported: 1\n" in said
    assert api.requests == []


def test_unknown_shoppers_are_listed_and_not_invented(api: FakeApi) -> None:
    place("1", shopper="")
    place("2")

    said = report()

    assert "unknown shopper: 1\n" in said
    assert "  unknown shopper: 1\n" in said
    assert get_numbers(api) == ["2"]


def test_unknown_shoppers_are_added_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "unknown.txt"
    file.write_text("0\n")
    place("1", shopper="")

    assert "unknown shopper: 1\nO" not in report("--unknown", f"{file}")
    assert file.read_text() == "0\n1\n"


def test_orders_that_are_no_purchases_are_counted_by_reason(settings: Settings) -> None:
    class Reader(OrderReader):
        def is_complete(self, order: Any) -> bool:
            return bool(order.number != "3")

    settings.TOPSORT_ORDER_READER = Reader
    place("1", total="0")
    place("2", shopper="")
    remember_refusal("2")
    place("3")
    place("", total="1")

    said = report()

    assert "  left out: 4\n" in said
    for reason in ("no_payable_line", "no_consent", "incomplete", "no_number"):
        assert f"    {reason}: 1 (" in said


def test_order_whose_reader_raises_is_named_and_does_not_end_the_run(
    api: FakeApi, settings: Settings
) -> None:
    class Reader(OrderReader):
        def get_lines(self, order: Any) -> Any:
            if order.number == "1":
                raise LookupError("secret")
            return super().get_lines(order)

    settings.TOPSORT_ORDER_READER = Reader
    place("1")
    place("2", 1)

    code, said = call(*SINCE)

    assert code == 1
    assert "not read: 1: LookupError" in said
    assert "secret" not in said
    assert "  failed: 1\n" in said
    assert get_numbers(api) == ["2"]


def test_progress_is_lines_where_nobody_watches(lists_of_two: None) -> None:
    for number in range(5):
        place(f"{number}")

    assert re.findall("^.* orders read$", report("--dry-run"), re.MULTILINE) == [
        "2 of 5 orders read"  # and the next one is due in ten seconds
    ]


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    place("1")
    monkeypatch.setattr(sys, "stderr", Terminal())

    said = report("--dry-run")

    assert f"\r[{'#' * 30}] 1 of 1" in said


def test_rate_is_the_purchases_of_a_second() -> None:
    for number in range(4):
        place(f"{number}")

    begun = time.monotonic()
    code = call("--since", "2026-11-01", "--rate", "4")[0]

    assert code == 0
    assert time.monotonic() - begun >= 0.9


# How it arrives


def test_purchase_is_announced_as_any_other(api: FakeApi) -> None:
    seen: list[str] = []

    def note(event: Any, **facts: Any) -> None:
        seen.append(event.id)

    place("1")
    event_recorded.connect(note)
    try:
        report()
    finally:
        event_recorded.disconnect(note)

    assert seen == ["1"]


def test_orders_of_the_thread_backend_have_arrived_at_the_end(
    api: FakeApi, settings: Settings
) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD}
    for number in range(120):
        place(f"{number}")

    said = report()

    assert len(api.purchases) == 120
    assert "not delivered yet" not in said


def test_orders_of_the_outbox_have_arrived_at_the_end(api: FakeApi, outbox: None) -> None:
    place("1")
    place("2")

    assert "  reported: 2\n" in report()
    assert sorted(get_numbers(api)) == ["1", "2"]


def test_orders_in_the_outbox_are_already_reported(api: FakeApi, outbox: None) -> None:
    place("1")
    report()

    said = report()

    assert "  reported: 0\n  already reported: 1\n" in said
    assert get_numbers(api) == ["1"]


def test_orders_that_wait_in_the_outbox_are_safe_there(api: FakeApi, outbox: None) -> None:
    place("1")
    api.answer(503)

    said = report()

    assert "  reported: 1\n" in said
    assert OutboxEvent.objects.waiting().count() == 1


def test_run_waits_while_too_many_are_in_the_outbox(
    api: FakeApi, outbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "MOST_WAITING", 0)
    place("1")
    api.answer(503)

    code, said = call(*SINCE, "--patience", "0.01")

    assert code == 1
    assert "Ended early: Topsort has not taken what waits: ServerUnavailable" in said
    assert "Go on with" not in said


@pytest.mark.parametrize("backend", [HTTP, THREAD])
def test_key_that_topsort_refuses_ends_the_run(
    api: FakeApi,
    settings: Settings,
    backend: str,
    lists_of_two: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.TOPSORT_BACKENDS = {"default": backend}
    monkeypatch.setattr(backfill, "FLUSH_SECONDS", 0.5)
    for number in range(3):
        place(f"{number}", number)
    api.answer(401)

    code, said = call(*SINCE)

    assert code == 1
    assert "Ended early: Topsort takes nothing: AuthenticationFailed" in said
    assert "Orders read: 2" in said
    assert "Go on with" not in said


def test_run_waits_for_an_api_that_is_down_for_a_while(
    api: FakeApi, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD}
    monkeypatch.setattr(backfill, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(backfill, "PAUSE_SECONDS", 0.01)
    place("1")
    api.answer(503, times=1)

    assert "  reported: 1\n" in report()
    assert get_numbers(api) == ["1"]


def test_purchases_of_an_api_that_stays_down_are_said_to_wait(
    api: FakeApi, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD}
    monkeypatch.setattr(backfill, "FLUSH_SECONDS", 0.5)
    place("1")
    api.answer(503)

    code, said = call(*SINCE, "--patience", "0.01")

    assert code == 1
    assert "not delivered yet, in memory: 1\n" in said
    assert "Ended early: Topsort has not taken what waits: ServerUnavailable" in said


def test_order_that_topsort_refuses_is_named(api: FakeApi) -> None:
    place("bad")
    place("2")
    api.poison(lambda event: event["id"] == "bad")

    code, said = call(*SINCE)

    assert code == 1
    assert "failed: bad: refused by Topsort: status=400" in said
    assert "  failed: 1\n" in said
    assert get_numbers(api) == ["2"]


def test_purchases_that_are_not_delivered_end_the_run_before_their_list(
    api: FakeApi, lists_of_two: None
) -> None:
    for number in range(5):
        place(f"{number}", number)
    first = Order.objects.get(number="1")

    def fail_later(events: Any, **facts: Any) -> None:
        if len(api.purchases) == 2:
            api.answer(503)

    from django_topsort.signals import events_delivered

    events_delivered.connect(fail_later)
    try:
        code, said = call(*SINCE)
    finally:
        events_delivered.disconnect(fail_later)

    assert code == 1
    assert "failed: 2: given up: failed" in said
    assert "Ended early: none of the last purchases was delivered: ServerUnavailable" in said
    assert get_place(said) == f"2026-11-02T12:00:00+00:00/{first.pk}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_that_is_told_to_stop_ends_behind_the_order_it_is_at(
    api: FakeApi, number: signal.Signals
) -> None:
    orders = [place(f"{number}") for number in range(3)]
    earlier = signal.getsignal(number)

    def stop(event: Any, **facts: Any) -> None:
        os.kill(os.getpid(), number)

    event_recorded.connect(stop)
    try:
        code, said = call("--since", "2026-11-01", "--rate", "1")
    finally:
        event_recorded.disconnect(stop)

    assert code == 1
    assert get_numbers(api) == ["0"]
    assert "Ended early: it was told to stop" in said
    assert get_place(said).endswith(f"/{orders[0].pk}")
    assert signal.getsignal(number) is earlier


def test_database_that_fails_ends_the_run_in_order() -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(Line)
        editor.delete_model(Order)
    try:
        code, said = call(*SINCE)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Order)
            editor.create_model(Line)

    assert code == 1
    assert "Ended early: the orders cannot be read: " in said


# What it is told


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "say where to begin"),
        (("--since", "soon"), "'soon' is no day or time"),
        (("--since", "2026-11-01", "--until", "x"), "'x' is no day or time"),
        (("--after", "2026-11-01"), "'2026-11-01' is no place to go on from"),
        (("--after", "2026-11-01/x"), "'2026-11-01/x' is no place to go on from"),
        (("--since", "2026-11-01", "--date-field", "number"), "called 'number'; --date-field"),
        (("--since", "2026-11-01", "--date-field", "paid"), "it has date_placed"),
        (("--since", "2026-11-01", "--using", "third"), "there is no database 'third'"),
        (("--since", "2026-11-01", "--rate", "0"), "'0' is not a number of more than 0"),
        (("--since", "2026-11-01", "--rate", "x"), "'x' is not a number of more than 0"),
    ],
)
def test_wrong_argument_is_explained(args: tuple[str, ...], said: str) -> None:
    assert said in fail(*args)


def test_model_without_a_date_is_refused() -> None:
    said = fail("--since", "2026-11-01", label="shop.Product")

    assert said.startswith("shop.Product has no column of dates under a name that the reader knows")
    assert said.endswith("it has none")


def test_date_field_may_be_named() -> None:
    said = report("--date-field", "date_joined", "--dry-run", label="auth.User")

    assert "Orders read: 0" in said


class Timeless(OrderReader):
    """Of a shop whose column of times has a name that is not known."""

    placed_at_names = ()


class Whole:
    """Reads all of an order by itself."""

    def __call__(self, order: Any) -> Any:
        return OrderReader()(order)


@pytest.mark.parametrize("reader", [Timeless, Whole])
def test_order_whose_time_only_the_command_knows_is_reported_with_it(
    settings: Any, api: FakeApi, reader: type[Any]
) -> None:
    settings.TOPSORT_ORDER_READER = reader
    place("1001")

    report("--date-field", "date_placed")

    (purchase,) = api.purchases
    assert datetime.fromisoformat(purchase["occurredAt"]) == FIRST


def test_composite_key_is_a_place_too() -> None:
    from django_topsort.purchases.stored_orders import Place, read_place, write_place
    from tests.shop.models import MarketOrder

    field: Any = Order._meta.get_field("date_placed")
    place = Place(FIRST, (UUID(int=7), "a/b"))

    assert read_place(MarketOrder, field, write_place(place)) == place
