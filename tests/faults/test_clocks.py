"""Clocks that jump, differ, or say nothing of their zone: faults 93 and 95 to 97."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from django_topsort.testing import FakeApi
from tests.faults.shop import KEY, check_books, run_shop

pytestmark = pytest.mark.faults


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        yield api


@pytest.mark.parametrize("jump", [3600, -3600])
def test_fault_93_wall_clock_that_jumps_by_an_hour(api: FakeApi, jump: int) -> None:
    api.answer(503, times=3)

    told = run_shop(
        f"""
        import time
        from django_topsort.delivery import deliver_safely, flush, get_backend
        from tests.sending.engine import build_events, wait_until

        real, real_ns, offset = time.time, time.time_ns, 0
        time.time = lambda: real() + offset
        time.time_ns = lambda: real_ns() + offset * 10 ** 9

        started = time.monotonic()
        deliver_safely(build_events(120, "purchases", "before"))
        offset = {jump}
        deliver_safely(build_events(120, "purchases", "after"))
        wait_until(lambda: flush(10))
        offset = 0
        deliver_safely(build_events(120, "purchases", "back"))
        get_backend().close()
        tell(seconds=time.monotonic() - started)
        """,
        api,
    )

    parts = ("before", "after", "back")
    check_books(told, api, [f"{part}-{number}" for part in parts for number in range(120)])
    assert told.dropped == {}
    assert told.facts["seconds"] < 60


@pytest.mark.parametrize("use_tz", [True, False])
def test_fault_95_times_of_every_kind_go_out_with_their_offset(api: FakeApi, use_tz: bool) -> None:
    told = run_shop(
        """
        from datetime import UTC, datetime, timedelta, timezone
        from zoneinfo import ZoneInfo
        from django_topsort.events import Page, PageView
        from django_topsort.tracking import record

        berlin = ZoneInfo("Europe/Berlin")
        for name, moment in {
            "naive-winter": datetime(2026, 1, 31, 12, 0),
            "naive-summer": datetime(2026, 7, 31, 12, 0, 0, 123456),
            "naive-gap": datetime(2026, 3, 29, 2, 30),
            "naive-first": datetime(2026, 10, 25, 2, 30),
            "naive-second": datetime(2026, 10, 25, 2, 30, fold=1),
            "zone-first": datetime(2026, 10, 25, 2, 30, tzinfo=berlin),
            "zone-second": datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1),
            "fixed": datetime(2026, 7, 31, 12, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
            "utc": datetime(2026, 7, 31, 12, tzinfo=UTC),
            "last": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            "last-naive": datetime(9999, 12, 31, 23, 59, 59),
            "first": datetime(1, 1, 1, tzinfo=UTC),
            "odd": datetime(1890, 1, 1, tzinfo=berlin),
        }.items():
            page = Page(type="home", page_id="/")
            record(PageView(id=name, opaque_user_id="u", page=page, occurred_at=moment))
        """,
        api,
        USE_TZ=use_tz,
        TIME_ZONE="Europe/Berlin",
    )

    # FakeApi takes a time only as RFC 3339 has it, with an offset.
    sent = {event["id"]: event["occurredAt"] for event in api.pageviews}
    check_books(told, api, sent)
    moments = {
        name: datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat()
        for name, text in sent.items()
        if name not in ("last-naive", "first", "odd")
    }
    assert moments == {
        "naive-winter": "2026-01-31T11:00:00",
        "naive-summer": "2026-07-31T10:00:00.123456",
        "naive-gap": "2026-03-29T01:30:00",
        "naive-first": "2026-10-25T00:30:00",
        "naive-second": "2026-10-25T01:30:00",
        "zone-first": "2026-10-25T00:30:00",
        "zone-second": "2026-10-25T01:30:00",
        "fixed": "2026-07-31T21:30:00",
        "utc": "2026-07-31T12:00:00",
        "last": "9999-12-31T23:59:59.999999",
    }
    assert sent["last-naive"].startswith("9999-12-31T23:59:59+01:00")
    assert sent["first"].startswith("0001-01-01T00:00:00")
    # Berlin was 53 minutes and 28 seconds ahead, which no offset can say.
    assert datetime.fromisoformat(sent["odd"]) == datetime(1889, 12, 31, 23, 6, 32, tzinfo=UTC)


def test_fault_96_time_of_an_event_is_its_own_however_late_it_arrives(api: FakeApi) -> None:
    api.answer(503, times=2)
    api.lose_answers(times=2)

    told = run_shop(
        """
        import time
        from datetime import UTC, datetime, timedelta
        from django.test import RequestFactory
        from django_topsort.delivery import flush
        from django_topsort.tracking import *
        from tests.sending.engine import wait_until

        request = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"}).get("/")
        times = {}
        for number in range(3):
            event = track_impression(request, f"p-{number}", id=f"i-{number}")
            times[event.id] = event.occurred_at.timestamp()
            time.sleep(0.15)  # longer than the flush interval: these go out in several requests
        lines = [{"product": "p", "line_total": "5.00"}]
        placed = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
        order = {"number": "o-1", "date_placed": placed, "lines": lines}
        track_purchase(order, opaque_user_id="u")
        wait_until(lambda: flush(20))
        tell(times=times)
        """,
        api,
    )

    assert api.repeated
    assert api.altered == []
    sent = {event["id"]: datetime.fromisoformat(event["occurredAt"]) for event in api.events}
    assert sent.pop("o-1") == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert {name: moment.timestamp() for name, moment in sent.items()} == told.facts["times"]
    counts = told.counts["impressions"]
    assert (counts["delivered"], counts["waiting"]) == (3, 0)


@pytest.mark.parametrize("ahead", [300, -300])
def test_fault_97_link_that_was_signed_by_a_host_whose_clock_differs(
    api: FakeApi, ahead: int
) -> None:
    told = run_shop(
        f"""
        import time
        from django.test import Client

        real = time.time
        browser = Client(headers={{"User-Agent": "Mozilla/5.0 Firefox/150.0"}})
        time.time = lambda: real() + {ahead}
        link = browser.get("/link/?to=/p-1/").content.decode()
        time.time = real
        response = browser.get(link)
        tell(status=response.status_code, location=response.headers["Location"])
        """,
        api,
    )

    assert (told.facts["status"], told.facts["location"]) == (302, "/p-1/")
    assert len(api.clicks) == 1
