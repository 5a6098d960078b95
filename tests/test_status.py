"""One function and one command say what became of all events."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.management import call_command
from django.db.models import F

from django_topsort.accounts import accounts
from django_topsort.backends.base import BaseEventBackend
from django_topsort.delivery import flush, leave_out
from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.outbox.store import store_events
from django_topsort.status import describe_status, format_prometheus, get_status
from django_topsort.testing import FakeApi
from django_topsort.tracking import record
from tests.outbox.conftest import LOCMEM, OUTBOX
from tests.sending.engine import build_event, build_events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_backends")]
THREAD = "django_topsort.backends.thread.EventBackend"


def store(name: str, kind: str = "purchases", **values: Any) -> None:
    store_events([build_event(kind, name)], "default")
    OutboxEvent.objects.filter(event_id=name).update(**values)


def call(*args: str) -> tuple[int, str]:
    output = StringIO()
    code: Any = 0
    try:
        call_command("topsort_status", *args, stdout=output)
    except SystemExit as end:
        code = end.code
    return code, output.getvalue()


def test_status_shows_what_all_processes_have_left_out() -> None:
    leave_out(build_events(3, "clicks"), "duplicate")
    leave_out(build_events(1, "clicks"), "duplicate")

    (figures,) = get_status()["left_out"].values()
    _, text = call()

    assert figures == {"clicks": {"duplicate": 4}}
    assert "all processes that share the cache" in text
    assert "clicks duplicate: 4" in text


class BrokenCache(BaseCache):
    def __init__(self, *args: object) -> None:
        super().__init__({})

    def add(self, *args: Any, **kwargs: Any) -> bool:
        raise OSError("the cache is down")

    get_many = add  # type: ignore[assignment]


def test_status_does_without_a_cache(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}

    leave_out(build_events(3, "clicks"), "duplicate")

    assert get_status()["left_out"] == {}
    assert accounts.get_counts()["clicks"]["reasons"]["duplicate"] >= 3


def test_status_counts_the_process_and_the_outbox(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "overflow": OUTBOX}
    store("1", status=Status.DELIVERED)
    store("2", status=Status.REJECTED)
    store("3", status=Status.DEAD)
    store("4", created_at=F("created_at") - timedelta(seconds=90))
    store("5", status=Status.ANNOUNCED)
    store("6", kind="clicks")
    store("7", kind="views of a newer version")

    status = get_status()

    assert status["process"] == accounts.get_counts()
    purchases = status["outbox"]["purchases"]
    assert purchases.pop("oldest_seconds") == pytest.approx(90, abs=5)
    assert purchases == {"stored": 5, "waiting": 2, "delivered": 1, "rejected": 1, "dead": 1}
    assert status["outbox"]["clicks"]["waiting"] == 1
    assert status["outbox"]["impressions"]["oldest_seconds"] is None


@pytest.mark.parametrize(
    "reason",
    ["duplicate", "too_many_clicks", "embedded", "crawler", "automated", "prefetch", "hook"],
)
def test_status_names_what_was_left_out_on_purpose(reason: str) -> None:
    before = get_status()["process"]["clicks"]["reasons"].get(reason, 0)

    leave_out([build_event("clicks")], reason)

    assert get_status()["process"]["clicks"]["reasons"][reason] == before + 1
    assert f"  dropped clicks {reason}: {before + 1}" in call()[1]


def test_status_without_an_outbox_has_none(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM}

    status = get_status()

    assert status["outbox"] is None
    assert describe_status(status).endswith("No outbox")
    assert "topsort_outbox_waiting" not in format_prometheus(status)


def test_status_knows_what_the_threads_hold(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD}
    settings.TOPSORT_FLUSH_INTERVAL = 3600
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        record(build_event("clicks", "1"))
        waiting = get_status()
        assert flush()
        begun = time.time()
        sent = get_status()

    assert 0 <= waiting["oldest_seconds"] < 60
    assert (waiting["is_paused"], sent["oldest_seconds"]) == (False, None)
    assert sent["last_success_at"] == pytest.approx(begun, abs=60)


def test_status_knows_that_topsort_is_not_asked(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD}
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        with api.answer(401):
            record(build_event("clicks", "1"))
            assert not flush(10)
        status = get_status()

    text = describe_status(status)
    assert status["is_paused"]
    assert status["last_error"] == "AuthenticationFailed status=401"
    assert "AuthenticationFailed status=401" in text
    assert "paused: Topsort does not answer, or a setting is wrong" in text
    assert "topsort_paused 1" in format_prometheus(status)


def test_status_of_a_database_that_fails_is_logged(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": "tests.test_status.Broken"}

    status = get_status()

    assert status["outbox"] is None
    assert status["error"] == "tests.test_status: ZeroDivisionError: it is broken"
    assert "status not known backend=tests.test_status error=ZeroDivisionError" in caplog.text
    assert "Not known, is it migrated and there? tests.test_status" in describe_status(status)
    assert "topsort_outbox_up 0" in format_prometheus(status)
    assert call()[0] == 1


class Broken(BaseEventBackend):
    """Cannot say how it is."""

    def get_state(self) -> dict[str, Any]:
        raise ZeroDivisionError("it is broken")


def test_command_says_it_to_a_person(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}
    accounts.count_refused("clicks", "invalid")
    store("1")

    code, text = call()

    assert code == 0
    assert "Outbox (all processes)" in text
    assert re.search(r"oldest waiting purchases: \d+\.\d s$", text, re.MULTILINE)
    assert "dropped clicks invalid: " in text
    for kind in EVENT_KINDS:
        assert kind in text


def test_command_says_it_to_a_program(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}
    store("1")

    code, text = call("--format", "json")

    assert code == 0
    assert json.loads(text)["outbox"]["purchases"]["waiting"] == 1


def test_command_says_it_to_prometheus(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}
    accounts.count_refused("clicks", "invalid")
    store("1", status=Status.DEAD)

    code, text = call("--format", "prometheus")

    assert code == 1
    lines = text.splitlines()
    assert "# TYPE topsort_events_recorded_total counter" in lines
    assert "# TYPE topsort_events_waiting gauge" in lines
    assert any(
        line.startswith('topsort_events_dropped_total{kind="clicks",reason="invalid",pid="')
        for line in lines
    )
    assert 'topsort_outbox_dead{kind="purchases"} 1' in lines
    assert 'topsort_outbox_oldest_seconds{kind="purchases"} 0' in lines
    assert all(line.startswith("#") or len(line.split(" ")) == 2 for line in lines)
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize(
    ("values", "args", "expected"),
    [
        ({"status": Status.DEAD}, [], 1),
        ({"status": Status.REJECTED}, [], 1),
        ({"status": Status.DELIVERED}, [], 0),
        ({"created_at": F("created_at") - timedelta(seconds=90)}, [], 0),
        ({"created_at": F("created_at") - timedelta(seconds=90)}, ["--max-age=60"], 1),
        ({"created_at": F("created_at") - timedelta(seconds=90)}, ["--max-age=600"], 0),
    ],
)
def test_command_ends_with_1_when_purchases_need_somebody(
    settings: Any, values: dict[str, Any], args: list[str], expected: int
) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}
    store_events(build_events(1, "clicks"), "default")
    store("1", **values)

    code, _ = call(*args)

    assert code == expected
