"""Topsort is down, busy or refuses, and events wait with the broker; the outbox by way of it."""

from __future__ import annotations

import signal

import pytest

from tests.engines.shop import OUTBOX, Shop, Web
from tests.faults.app import SECONDS
from tests.sending.engine import wait_until

pytestmark = pytest.mark.engines


def record(web: Web, name: str, count: int) -> None:
    web.ask(f"(record_click('warm-{name}'), flush(10))")
    web.ask(f"record_all({name!r}, {count})")
    assert web.ask("flush(10)")


def test_worker_waits_for_as_long_as_topsort_asks(shop: Shop) -> None:
    with shop.serve() as web:
        record(web, "a", 2)
    with shop.api.answer(429, headers={"Retry-After": "1"}, times=2), shop.work():
        shop.wait_for_all()


@pytest.mark.parametrize("status", [503, 401])
def test_what_is_put_off_outlives_its_worker(shop: Shop, status: int) -> None:
    with shop.serve() as web:
        record(web, "a", 2)
    with shop.api.answer(status) as fault, shop.work() as worker:
        fault.wait_for_hit(2, timeout=60)
        worker.stop()
    assert shop.api.events == []
    with shop.work():
        shop.wait_for_all()


def test_event_that_topsort_refuses_takes_no_other_along(shop: Shop) -> None:
    shop.configure(worker_prefetch_multiplier=50)
    shop.api.poison("a-clicks-1", status=400)
    with shop.serve() as web:
        record(web, "a", 4)
    recorded = {*shop.get_ids()} - {"a-clicks-1"}
    with shop.work():
        shop.api.wait_for(len(recorded), timeout=SECONDS)
    assert {event["id"] for event in shop.api.events} == recorded


def test_tasks_are_in_the_queue_that_the_settings_name(shop: Shop) -> None:
    own = f"{shop.queue}-own"
    shop.change(TOPSORT_ENGINE_QUEUE=own)
    with shop.serve() as web:
        record(web, "a", 3)
        counts = web.ask("accounts.get_counts()")
    stored = sum(figures["stored"] for figures in counts.values())
    assert shop.broker.count_waiting(own) == stored > 6
    assert shop.broker.count_waiting(shop.queue) == 0
    with shop.work(queue=own):
        shop.wait_for_all()


def test_outbox_is_relayed_by_workers_also_for_a_process_that_was_killed(shop: Shop) -> None:
    shop.add_outbox(purchases=OUTBOX)
    shop.change(TOPSORT_OUTBOX_RELAY="celery")
    with shop.work():
        with shop.serve() as web:
            web.ask("(record_order('first'), flush(0))")
            shop.api.wait_for(1, "purchases", timeout=SECONDS)
        with shop.serve() as web:
            # Killed with its order committed, and before anybody was told.
            web.ask("from django_topsort.outbox import nudges")
            web.ask("nudges.get_nudger = lambda engine: os.kill(os.getpid(), signal.SIGKILL)")
            assert web.process.stdin is not None
            web.process.stdin.write("record_order('second')\n")
            web.process.stdin.flush()
            web.process.wait(SECONDS)
            assert web.process.returncode == -signal.SIGKILL
        # What Celery's beat does once in a minute.
        app = "tests.engines.queue_app"
        shop.run("-m", "celery", "-A", app, "call", "django_topsort.relay_outbox")
        shop.api.wait_for(2, "purchases", timeout=SECONDS)
        wait_until(lambda: shop.get_rows() == 0)
    assert sorted(event["id"] for event in shop.api.purchases) == ["first", "second"]


def test_eager_tasks_are_done_in_the_process(shop: Shop) -> None:
    shop.configure(task_always_eager=True)
    with shop.serve() as web:
        web.ask("record_all('a', 2)")
        assert web.ask("flush(20)")
        shop.wait_for_all()
