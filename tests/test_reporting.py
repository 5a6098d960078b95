"""What became of events is counted, announced and logged, without saying more than it may."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from django.dispatch import Signal

from django_topsort.accounts import accounts
from django_topsort.events import Event, Impression
from django_topsort.exceptions import (
    AuthenticationFailed,
    EndpointNotFound,
    InvalidEvent,
    InvalidRequest,
    NoAnswer,
    RateLimited,
)
from django_topsort.reporting import MAX_IDS, MAX_KEYS, QUIET_SECONDS, LogLimit, Reporter
from django_topsort.signals import events_delivered, events_dropped, events_rejected
from tests.logs import handle_log
from tests.strategies import build_full_events

IMPRESSION, CLICK, PURCHASE, PAGEVIEW = build_full_events()
ALL = [IMPRESSION, CLICK, PURCHASE, PAGEVIEW]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Backend:
    """Stands for the class of a backend, which the signals name as their sender."""


class Heard:
    """A receiver that keeps what it was sent."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []

    def __call__(self, signal: Signal, **facts: Any) -> None:
        self.facts.append(facts)


@contextmanager
def listen(signal: Signal, receiver: Callable[..., Any] | None = None) -> Iterator[Heard]:
    heard = Heard()
    signal.connect(receiver or heard, weak=False)
    try:
        yield heard
    finally:
        signal.disconnect(receiver or heard)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def report(clock: Clock, caplog: pytest.LogCaptureFixture) -> Reporter:
    caplog.set_level(logging.DEBUG, "django_topsort")
    return Reporter(Backend, LogLimit(clock))


@pytest.fixture
def counted() -> Callable[[str], dict[str, int]]:
    """Return a function that says what was counted of a kind in this test, reasons included."""
    before = accounts.get_counts()

    def count(kind: str) -> dict[str, int]:
        now, then = accounts.get_counts()[kind], before[kind]
        reasons = {
            f"dropped {reason}": number - then["reasons"].get(reason, 0)
            for reason, number in now["reasons"].items()
        }
        names = ("recorded", "delivered", "rejected")
        figures = {**{name: now[name] - then[name] for name in names}, **reasons}
        return {name: number for name, number in figures.items() if number}

    return count


Counted = Callable[[str], dict[str, int]]


def build_purchases(*numbers: int) -> list[Event]:
    return [msgspec.structs.replace(PURCHASE, id=f"order-{number}") for number in numbers]


def get_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "django_topsort.reporting"
    ]


# Delivered


def test_delivered_events_are_counted_and_announced(report: Reporter, counted: Counted) -> None:
    with listen(events_delivered) as heard:
        report.delivered(ALL)

    assert heard.facts == [{"sender": Backend, "events": ALL}]
    assert counted("purchases") == {"delivered": 1}
    assert counted("impressions") == {"delivered": 1}


def test_delivered_events_are_logged_by_number(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.delivered(ALL)

    assert get_lines(caplog) == [("DEBUG", "delivered events=4")]


def test_receiver_may_keep_the_list(report: Reporter) -> None:
    some: list[Event] = [IMPRESSION]
    with listen(events_delivered) as heard:
        report.delivered(some)
    some.clear()

    assert heard.facts[0]["events"] == [IMPRESSION]


# Rejected


def test_rejected_events_are_counted_and_announced_with_the_error(
    report: Reporter, counted: Counted
) -> None:
    error = InvalidRequest("no such bid", status=400, err_code="resolved_bid_id_not_found")
    with listen(events_rejected) as heard:
        report.rejected([CLICK, PURCHASE], error)

    assert heard.facts == [{"sender": Backend, "events": [CLICK, PURCHASE], "error": error}]
    assert counted("clicks") == {"rejected": 1}
    assert counted("purchases") == {"rejected": 1}


def test_rejected_events_are_logged_and_purchases_as_an_error(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.rejected(ALL, InvalidRequest("no such bid", status=400, err_code="bad_request"))

    said = "error=status=400 errCode=bad_request no such bid"
    ids = f"count=1 ids={PURCHASE.id}"
    assert get_lines(caplog) == [
        ("WARNING", f"rejected kind=clicks {said}"),
        ("WARNING", f"rejected kind=impressions {said}"),
        ("WARNING", f"rejected kind=pageviews {said}"),
        ("ERROR", f"rejected kind=purchases {said} {ids}"),
    ]


def test_rejected_purchases_are_each_named(
    report: Reporter, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    error = InvalidRequest("no", status=400, err_code="bad", doc_url="https://docs.example/bad")
    for numbers in ((1,), (2, 3), (3, 1), (4, 3, 4)):
        report.rejected([CLICK, *build_purchases(*numbers)], error)
    clock.now += 61
    report.rejected(build_purchases(1), error)

    said = "error=status=400 errCode=bad no docUrl=https://docs.example/bad"
    assert [line for _, line in get_lines(caplog)] == [
        f"rejected kind=clicks {said}",
        f"rejected kind=purchases {said} count=1 ids=order-1",
        f"rejected kind=purchases {said} count=2 ids=order-2,order-3",
        f"rejected kind=purchases {said} count=1 ids=order-4",
        f"rejected kind=purchases {said} count=1 ids=order-1 left_out=1",
    ]


# Dropped


def test_dropped_events_are_counted_and_announced_by_kind(
    report: Reporter, counted: Counted
) -> None:
    with listen(events_dropped) as heard:
        report.dropped([IMPRESSION, CLICK, IMPRESSION], "queue_full")

    assert heard.facts == [
        {
            "sender": Backend,
            "kind": "impressions",
            "count": 2,
            "reason": "queue_full",
            "events": [IMPRESSION, IMPRESSION],
        },
        {
            "sender": Backend,
            "kind": "clicks",
            "count": 1,
            "reason": "queue_full",
            "events": [CLICK],
        },
    ]
    assert counted("impressions") == {"dropped queue_full": 2}
    assert counted("clicks") == {"dropped queue_full": 1}


def test_dropped_purchases_are_logged_as_an_error_with_their_numbers(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    purchases = [msgspec.structs.replace(PURCHASE, id=f"order-{n}") for n in range(12)]
    report.dropped([*purchases, IMPRESSION], "shutdown")

    numbers = ",".join(f"order-{n}" for n in range(12))
    assert get_lines(caplog) == [
        ("ERROR", f"dropped kind=purchases reason=shutdown count=12 ids={numbers}"),
        ("WARNING", "dropped kind=impressions reason=shutdown count=1"),
    ]


def test_duplicate_of_a_purchase_is_counted_and_announced_but_no_loss(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with listen(events_dropped) as heard:
        report.dropped([PURCHASE, PURCHASE], "duplicate")

    assert [(facts["kind"], facts["reason"]) for facts in heard.facts] == [
        ("purchases", "duplicate")
    ]
    assert counted("purchases") == {"dropped duplicate": 2}
    assert get_lines(caplog) == [("INFO", "dropped kind=purchases reason=duplicate count=2")]


def test_dropped_purchases_are_each_named(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.dropped(build_purchases(1), "queue_full")
    report.dropped(build_purchases(1, 2), "queue_full")
    report.dropped(build_purchases(2), "shutdown")

    assert [line for _, line in get_lines(caplog)] == [
        "dropped kind=purchases reason=queue_full count=1 ids=order-1",
        "dropped kind=purchases reason=queue_full count=1 ids=order-2",
        "dropped kind=purchases reason=shutdown count=1 ids=order-2",
    ]


def test_many_lost_purchases_are_named_in_several_lines(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.dropped(build_purchases(*range(2 * MAX_IDS + 1)), "shutdown")

    lines = [line for _, line in get_lines(caplog)]
    named = [name for line in lines for name in line.partition("ids=")[2].split(",")]
    assert named == [f"order-{number}" for number in range(2 * MAX_IDS + 1)]
    assert [line.split()[3] for line in lines] == ["count=50", "count=50", "count=1"]


def test_number_of_a_lost_purchase_makes_no_line_of_its_own(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.dropped([msgspec.structs.replace(PURCHASE, id="7\nforged " + "x" * 500)], "shutdown")

    ((_, line),) = get_lines(caplog)
    assert "ids=7\\nforged xxx" in line
    assert len(line) < 300


def test_nothing_is_said_of_no_events(report: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    with listen(events_dropped) as heard:
        report.dropped([], "shutdown")

    assert (heard.facts, get_lines(caplog)) == ([], [])


def test_disabled_events_are_counted_and_nothing_is_said(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    with listen(events_dropped) as heard:
        report.disabled([CLICK, CLICK, PURCHASE])

    assert counted("clicks") == {"dropped disabled": 2}
    assert counted("purchases") == {"dropped disabled": 1}
    assert (heard.facts, get_lines(caplog)) == ([], [])


# What never became an event


def test_wrong_data_is_counted_announced_and_logged_without_its_value(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    with listen(events_dropped) as heard:
        report.refused("impressions", InvalidEvent("placement.path", "jane@example.com", "-"))

    assert heard.facts == [
        {"sender": Backend, "kind": "impressions", "count": 1, "reason": "invalid", "events": []}
    ]
    assert counted("impressions") == {"recorded": 1, "dropped invalid": 1}
    said = "field=placement.path given=str: -"
    assert get_lines(caplog) == [("ERROR", f"left out kind=impressions reason=invalid {said}")]


def test_path_of_wrong_data_is_logged_in_one_line(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/a\r\nforged" + "\u2028" * 500
    report.refused("impressions", InvalidEvent("id", "", "no"))
    report.refused("pageviews", InvalidEvent("id", "", "no"), "/kitchen/")
    report.refused("clicks", InvalidEvent("id", "", "no"), path)

    nowhere, first, second = [line for _, line in get_lines(caplog)]
    assert first == "left out kind=pageviews reason=invalid field=id given=str path=/kitchen/: no"
    assert nowhere == "left out kind=impressions reason=invalid field=id given=str: no"
    path = second.partition("path=")[2].removesuffix(": no")
    assert path.startswith(r"/a\r\nforged\u2028\u2028")
    assert len(path) == 200


def test_error_of_the_shops_own_code_is_logged_with_its_traceback(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    report.refused("clicks", KeyError("sku"))

    assert counted("clicks") == {"recorded": 1, "dropped invalid": 1}
    ((level, line),) = get_lines(caplog)
    assert (level, line) == (
        "ERROR",
        "left out kind=clicks reason=invalid error=KeyError",
    )
    exc_info = caplog.records[-1].exc_info
    assert exc_info is not None
    assert exc_info[0] is KeyError


def test_what_is_left_out_is_counted_under_its_reason(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    report.left_out("purchases", "no_shopper", "order=1")
    report.left_out("purchases", "no_shopper", "order=2")

    assert counted("purchases") == {"recorded": 2, "dropped no_shopper": 2}
    assert [line for _, line in get_lines(caplog)] == [
        "left out kind=purchases reason=no_shopper order=1",
        "left out kind=purchases reason=no_shopper order=2",
    ]


# Requests that failed


@pytest.mark.parametrize(
    ("error", "level", "said"),
    [
        (
            NoAnswer("refused"),
            "WARNING",
            "error=NoAnswer no answer refused (The connection to api.topsort.com broke off.",
        ),
        (
            RateLimited("slow", status=429, doc_url="https://docs.example/slow"),
            "WARNING",
            (
                "error=RateLimited status=429 slow docUrl=https://docs.example/slow"
                " (Topsort takes no more requests for now."
            ),
        ),
        (
            AuthenticationFailed("wrong", status=401),
            "ERROR",
            (
                "error=AuthenticationFailed status=401 wrong"
                " (Topsort does not accept the key in TOPSORT_API_KEY"
            ),
        ),
    ],
)
def test_failed_request_is_logged_and_explained(
    report: Reporter, caplog: pytest.LogCaptureFixture, error: Any, level: str, said: str
) -> None:
    report.failed(error, 7)

    ((found, line),) = get_lines(caplog)
    assert found == level
    assert line.startswith(f"request failed waiting=7 {said}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example:8443", "https://api.example:8443"),
        ("http://fake-api/", "http://fake-api"),
        ("https://jane:canary@api.example/canary", "https://api.example"),
        ("https://api.example?key=canary", "https://api.example"),
        ("canary", "https://"),
        (None, "https://"),
    ],
)
def test_failed_request_is_explained_with_the_host_alone(
    report: Reporter,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
    url: Any,
    shown: str,
) -> None:
    settings.TOPSORT_API_URL = url

    report.failed(EndpointNotFound(status=404), 1)

    assert f"There is no Events API at {shown}. " in caplog.text
    assert "canary" not in caplog.text


# One line a minute


def test_one_line_of_a_reason_and_kind_is_logged_in_a_minute(
    report: Reporter, clock: Clock, caplog: pytest.LogCaptureFixture, counted: Counted
) -> None:
    with listen(events_dropped) as heard:
        for _ in range(100):
            report.dropped([IMPRESSION], "queue_full")
            clock.now += 0.5

    assert QUIET_SECONDS == 60
    assert len(get_lines(caplog)) == 1
    # Only the log is kept short.
    assert len(heard.facts) == 100
    assert counted("impressions") == {"dropped queue_full": 100}

    clock.now += 10
    report.dropped([IMPRESSION], "queue_full")
    assert [line for _, line in get_lines(caplog)] == [
        "dropped kind=impressions reason=queue_full count=1",
        "dropped kind=impressions reason=queue_full count=1 left_out=99",
    ]


def test_another_reason_or_kind_has_a_line_of_its_own(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        report.dropped(ALL, "queue_full")
        report.dropped(ALL, "shutdown")
        report.rejected(ALL, InvalidRequest(status=400, err_code="bad_request"))
        report.rejected(ALL, InvalidRequest(status=400, err_code="empty_request"))
        report.failed(NoAnswer(), 1)
        report.failed(RateLimited(), 1)
        report.refused("clicks", InvalidEvent("id", "", "no"))
        report.refused("clicks", InvalidEvent("placement.path", "", "no"))
        report.refused("clicks", ValueError())
        report.refused("pageviews", ValueError())

    assert len(get_lines(caplog)) == 4 * 4 + 2 + 4


def test_lines_left_out_are_counted_anew_after_each_line(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_topsort")
    limit = LogLimit(clock)
    for _ in range(121):
        limit.log(logging.INFO, ("a",), "said number=%s", 1)
        clock.now += 1

    assert [line for _, line in get_lines(caplog)] == [
        "said number=1",
        "said number=1 left_out=59",
        "said number=1 left_out=59",
    ]


def test_flood_of_keys_makes_a_thousand_lines_a_minute_and_one_for_the_rest(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_topsort")
    limit = LogLimit(clock)
    for number in range(10 * MAX_KEYS):
        limit.log(logging.INFO, ("rejected", f"errCode-{number}"), "said number=%s", number)
        limit.log(logging.INFO, ("failed", f"NoAnswer-{number}"), "failed")

    lines = [line for _, line in get_lines(caplog)]
    assert len(lines) == MAX_KEYS + 2
    clock.now += 60
    limit.log(logging.INFO, ("rejected", "errCode-1"), "said again")
    limit.log(logging.INFO, ("rejected", "and others"), "others")
    assert [line for _, line in get_lines(caplog)][MAX_KEYS + 2 :] == [
        "said again",
        "others left_out=9499",
    ]


def test_flood_that_ends_leaves_room_for_new_lines(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_topsort")
    limit = LogLimit(clock)
    for number in range(3 * MAX_KEYS):
        limit.log(logging.INFO, (f"sort {number % 3}", str(number)), "said")
        clock.now += 60.0 / MAX_KEYS
    assert len(get_lines(caplog)) == 3 * MAX_KEYS

    limit.clear()
    limit.log(logging.INFO, ("sort 0", str(3 * MAX_KEYS - 1)), "said")
    assert len(get_lines(caplog)) == 3 * MAX_KEYS + 1


def test_flood_of_lost_purchases_names_each_and_none_twice(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    report = Reporter(Backend, LogLimit(clock))
    lost = [msgspec.structs.replace(PURCHASE, id=f"order-{n}") for n in range(3 * MAX_KEYS)]
    report.dropped(lost, "shutdown")
    report.dropped(lost[-10:], "shutdown")
    for number in range(3 * MAX_KEYS):
        report.left_out("purchases", "no_shopper", f"order={number}")
    for _ in range(100):
        report.dropped([IMPRESSION], "overflow")

    lines = [line for _, line in get_lines(caplog)]
    assert len(lines) == 3 * MAX_KEYS // MAX_IDS + 3 * MAX_KEYS + 1


def test_reporters_share_one_limit_by_default(caplog: pytest.LogCaptureFixture) -> None:
    reason = "a reason that no other test has"
    Reporter(Backend).dropped([IMPRESSION], reason)
    Reporter(None).dropped([IMPRESSION], reason)

    assert len([line for _, line in get_lines(caplog) if reason in line]) == 1


# Receivers


def test_receiver_that_raises_breaks_nothing(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**facts: Any) -> None:
        raise RuntimeError("receiver")

    with (
        listen(events_dropped, fail),
        listen(events_dropped) as heard,
        listen(events_delivered, fail),
        listen(events_rejected, fail),
    ):
        report.dropped([CLICK], "queue_full")
        report.delivered([CLICK])
        report.rejected([CLICK], InvalidRequest(status=400))

    assert len(heard.facts) == 1
    assert counted("clicks") == {"delivered": 1, "rejected": 1, "dropped queue_full": 1}


def test_receiver_that_reports_in_turn_is_not_called_again(
    report: Reporter, counted: Counted
) -> None:
    calls = []

    def drop_another(**facts: Any) -> None:
        calls.append(facts["reason"])
        report.dropped([CLICK], "of a receiver")

    with listen(events_dropped, drop_another):
        report.dropped([CLICK], "queue_full")
        report.dropped([CLICK], "shutdown")

    assert calls == ["queue_full", "shutdown"]
    assert counted("clicks") == {
        "dropped queue_full": 1,
        "dropped shutdown": 1,
        "dropped of a receiver": 2,
    }


async def test_async_receiver_on_an_event_loop_breaks_nothing(
    report: Reporter, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    async def hear(**facts: Any) -> None:
        """Is never reached: nobody could wait for it here."""

    with listen(events_dropped, hear):
        report.dropped([CLICK], "queue_full")
        report.dropped([CLICK], "queue_full")

    assert counted("clicks") == {"dropped queue_full": 2}
    assert [line for _, line in get_lines(caplog)] == [
        "dropped kind=clicks reason=queue_full count=1",
        "signal not announced arguments=count,events,kind,reason",
    ]


def test_async_receiver_off_an_event_loop_is_called(report: Reporter) -> None:
    heard = []

    async def hear(**facts: Any) -> None:
        await asyncio.sleep(0)
        heard.append(facts["reason"])

    with listen(events_dropped, hear):
        report.dropped([CLICK], "queue_full")

    assert heard == ["queue_full"]


# What the log must not say


def test_no_value_of_an_event_and_no_key_is_logged(
    report: Reporter, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    canary = "canary-4711"
    settings.TOPSORT_API_KEY = f"TSE_{canary}"
    event = Impression(
        id=canary,
        opaque_user_id=canary,
        resolved_bid_id=canary,
        external_campaign_id=canary,
        external_vendor_id=canary,
    )
    purchase = msgspec.structs.replace(PURCHASE, opaque_user_id=canary)
    for _ in range(2):
        report.delivered([event, purchase])
        report.rejected([event, purchase], InvalidRequest("no", status=400))
        report.dropped([event, purchase], "queue_full")
        report.disabled([event, purchase])
        report.failed(NoAnswer("reset"), 2)
        report.refused("impressions", InvalidEvent("id", event, "it must not be so"))
        with pytest.raises(InvalidEvent) as caught:
            Impression(opaque_user_id=canary * 1000, resolved_bid_id="b")
        report.refused("impressions", caught.value)

    assert len(caplog.records) >= 9
    assert canary not in caplog.text
    assert canary not in str([record.args for record in caplog.records])
    assert canary.encode() not in pickle.dumps([record.getMessage() for record in caplog.records])


def test_log_handler_that_raises_costs_no_figure() -> None:
    def break_down(record: logging.LogRecord) -> None:
        raise OSError("no space left on device")

    before = accounts.get_counts()["clicks"]["delivered"]
    with handle_log(break_down, logging.DEBUG):
        Reporter(None).delivered([CLICK])

    assert accounts.get_counts()["clicks"]["delivered"] == before + 1
