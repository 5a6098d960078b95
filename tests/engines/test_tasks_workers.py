"""Django's tasks with their workers: a web process, the database's engine, and Topsort."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from django_topsort.testing import FakeApi
from tests.faults.app import App
from tests.faults.databases import make_database
from tests.sending.engine import PATIENCE, wait_until

pytestmark = pytest.mark.engines

TASKS = "django_topsort.backends.tasks.EventBackend"
OUTBOX = "django_topsort.outbox.backend.EventBackend"
# Records some events of each kind, and ends as any process does. It waits for a slow machine, where
# events would else take their way through memory.
RECORD = """
from django_topsort.backends import engine
from django_topsort.sending import publisher
engine.PATIENCE = publisher.PATIENCE = 30
from tests.engines.recording import record_all
record_all({name!r}, {count})
"""
# What becomes of each row of the engine.
COUNT = """
from collections import Counter
from django_tasks_db.models import DBTaskResult
print(dict(Counter(DBTaskResult.objects.values_list("status", flat=True))))
"""


class Shop(App):
    """A site whose tasks are in its database, at ``url`` or in a file."""

    def __init__(self, api: FakeApi, folder: Path, **settings: Any) -> None:
        given: dict[str, Any] = {
            "INSTALLED_APPS": ["django_topsort", "django_topsort.outbox", "django_tasks_db"],
            "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}},
            "TOPSORT_BACKENDS": {"default": TASKS},
            "TOPSORT_TIMEOUT": [2, 30],
            "TOPSORT_SHUTDOWN_TIMEOUT": 30,
        }
        super().__init__(api, folder, **{**given, **settings})

    def record(self, name: str, count: int = 3) -> None:
        self.run_code(RECORD.format(name=name, count=count))

    def count(self) -> dict[str, int]:
        counts: dict[str, int] = eval(self.run_code(COUNT))
        return counts

    @contextmanager
    def work(self) -> Iterator[subprocess.Popen[str]]:
        command = ("-m", "django", "db_worker", "--interval=0.1", "--no-startup-delay")
        with self.start(*command, "--queue-name=*") as process:
            yield process


def stop(worker: subprocess.Popen[str]) -> None:
    worker.send_signal(signal.SIGTERM)
    output, _ = worker.communicate(timeout=PATIENCE)
    assert worker.returncode in {0, -signal.SIGTERM}, output  # the latter: it had hardly begun


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def build_shop(api: FakeApi, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    pytest.importorskip("django_tasks_db")
    with django_db_blocker.unblock(), make_database(tmp_path) as database:

        def build(**settings: Any) -> Shop:
            shop = Shop(api, tmp_path, DATABASES={"default": database.entry}, **settings)
            shop.run("-m", "django", "migrate", "--verbosity=0")
            return shop

        yield build


def get_ids(name: str, count: int = 3) -> list[str]:
    kinds = ("impressions", "clicks", "purchases", "pageviews")
    return sorted(f"{name}-{kind}-{number}" for kind in kinds for number in range(count))


def check_arrived(api: FakeApi, *names: str) -> None:
    expected = sorted(event_id for name in names for event_id in get_ids(name))
    api.wait_for(len(expected), timeout=PATIENCE)
    assert sorted({event["id"] for event in api.events}) == expected
    assert api.altered == []


def test_events_of_all_kinds_arrive_by_way_of_a_worker(api: FakeApi, build_shop: Any) -> None:
    shop = build_shop()
    shop.record("one")
    assert api.requests == []  # they are with the engine, and nowhere else
    assert shop.count() == {"READY": 12}

    with shop.work() as worker:
        check_arrived(api, "one")
        wait_until(lambda: shop.count() == {"SUCCESSFUL": 12})
        stop(worker)
    assert api.repeated == []


def test_outage_of_topsort_is_waited_for(api: FakeApi, build_shop: Any) -> None:
    shop = build_shop()
    shop.record("one")
    with shop.work() as worker:
        with api.refuse():
            wait_until(lambda: shop.count().get("SUCCESSFUL", 0) >= 5)
        check_arrived(api, "one")
        stop(worker)
    assert shop.count().get("FAILED") is None


def test_worker_that_is_told_to_end_finishes_its_task(api: FakeApi, build_shop: Any) -> None:
    shop = build_shop()
    shop.record("one")
    with shop.work() as worker:
        with api.hang() as fault:
            fault.wait_for_hit(1, PATIENCE)
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.2)  # it is at its task still: nothing tells that a signal has been taken
            assert worker.poll() is None
        output, _ = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, output
    assert "RUNNING" not in shop.count()
    with shop.work() as worker:
        check_arrived(api, "one")
        stop(worker)


def test_worker_that_is_told_twice_loses_nothing(api: FakeApi, build_shop: Any) -> None:
    """The engine breaks its task off, and takes it for failed: what it had is enqueued anew."""
    shop = build_shop()
    shop.record("one")
    with shop.work() as worker, api.hang() as fault:
        fault.wait_for_hit(1, PATIENCE)
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        worker.send_signal(signal.SIGINT)
        output, _ = worker.communicate(timeout=PATIENCE)
    counts = shop.count()
    assert "RUNNING" not in counts
    assert counts["READY"] == 12, output


RUN_AGAIN = """
from django_tasks_db.models import DBTaskResult
print(DBTaskResult.objects.filter(status="RUNNING").update(status="READY"))
"""


def test_task_of_a_killed_worker_stays_with_the_engine_until_it_is_made_ready(
    api: FakeApi, build_shop: Any
) -> None:
    shop = build_shop()
    shop.record("one")
    with api.hang() as fault, shop.work() as worker:
        fault.wait_for_hit(1, PATIENCE)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert shop.count()["RUNNING"] == 1

    with shop.work() as worker:
        wait_until(lambda: "READY" not in shop.count())
        assert shop.count()["RUNNING"] == 1  # no other worker ever takes it
        assert shop.run_code(RUN_AGAIN).strip() == "1"
        check_arrived(api, "one")
        stop(worker)


def test_purchase_in_the_outbox_survives_a_killed_worker(api: FakeApi, build_shop: Any) -> None:
    shop = build_shop(
        TOPSORT_BACKENDS={"default": TASKS, "purchases": OUTBOX}, TOPSORT_OUTBOX_RELAY="tasks"
    )
    shop.record("one")
    with api.hang() as fault, shop.work() as worker:
        fault.wait_for_hit(1, PATIENCE)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    shop.run_code(  # the time that the lease lasts
        "from datetime import timedelta\n"
        "from django.utils import timezone\n"
        "from django_topsort.outbox.models import OutboxEvent\n"
        "OutboxEvent.objects.update(due_at=timezone.now() - timedelta(hours=1))\n"
    )
    shop.run("-m", "django", "topsort_relay", "--once")  # as cron does

    assert len({event["id"] for event in api.purchases}) == 3


def test_outbox_is_relayed_by_a_worker_right_after_the_commit(
    api: FakeApi, build_shop: Any
) -> None:
    shop = build_shop(TOPSORT_BACKENDS={"default": OUTBOX}, TOPSORT_OUTBOX_RELAY="tasks")
    with shop.work() as worker:
        shop.record("one")
        check_arrived(api, "one")
        stop(worker)
    assert shop.count()["SUCCESSFUL"] >= 1


def test_database_without_the_engines_table_costs_no_event(api: FakeApi, build_shop: Any) -> None:
    shop = build_shop()
    shop.run_code(
        "from django.db import connection\n"
        "from django_tasks_db.models import DBTaskResult\n"
        "connection.cursor().execute(f'DROP TABLE {DBTaskResult._meta.db_table}')\n"
    )

    shop.record("one")

    check_arrived(api, "one")  # from memory


def test_order_that_is_rolled_back_takes_no_task_along(api: FakeApi, build_shop: Any) -> None:
    """A click has happened, whatever becomes of the transaction beside it."""
    shop = build_shop()
    shop.run_code(
        "from django.db import transaction\n"
        "from tests.engines.recording import record_all\n"
        "with transaction.atomic():\n"
        "    record_all('one', 3)\n"
        "    transaction.set_rollback(True)\n"
    )
    counts = shop.count()
    assert counts.get("READY", 0) + len(api.events) == 12
