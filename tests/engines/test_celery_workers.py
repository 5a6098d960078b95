"""Events by way of real brokers and real workers of Celery, while any of them is ended or hangs."""

from __future__ import annotations

import os
import signal

import pytest

from tests.engines.shop import SOON, Shop, Web

pytestmark = pytest.mark.engines


def record(web: Web, name: str, count: int) -> None:
    """Record events of all kinds, ``count`` tasks of each, when the connection is there."""
    web.ask(f"(record_click('warm-{name}'), flush(10))")
    web.ask(f"record_all({name!r}, {count})")
    assert web.ask("flush(10)")


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_events_of_all_kinds_arrive_once(shop: Shop, pool: str) -> None:
    with shop.serve() as web:
        record(web, "a", 3)
        counts = web.ask("accounts.get_counts()")
    stored = sum(figures["stored"] for figures in counts.values())
    # What was not there within 50 ms, if any, has gone by way of memory.
    assert shop.broker.count_waiting(shop.queue) == stored > 6
    with shop.work(f"--pool={pool}") as worker:
        shop.wait_for_all()
        worker.stop()
    assert shop.api.repeated == [], worker.output
    assert all(figures["waiting"] == 0 for figures in counts.values())
    assert shop.broker.count_waiting(shop.queue) == 0, worker.output


def test_child_killed_in_the_midst_of_a_task_loses_nothing(shop: Shop) -> None:
    with shop.serve() as web:
        record(web, "a", 5)
    with shop.work() as worker:
        with shop.api.hang(times=2) as hung:
            hung.wait_for_hit(2, timeout=60)
            for child in worker.get_children():
                os.kill(child, signal.SIGKILL)
            shop.wait_for_all()
        lost = worker.output.count("WorkerLostError('Worker exited")
    assert lost == 2, worker.output


def test_worker_killed_as_a_whole_loses_nothing(shop: Shop) -> None:
    if shop.broker.kind == "redis":
        shop.configure(broker_transport_options=SOON)
    with shop.serve() as web:
        record(web, "a", 5)
    with shop.api.hang(), shop.work() as worker:
        shop.api.wait_for_requests(2, timeout=60)
        worker.kill()
    with shop.work() as worker:
        shop.wait_for_all()
        worker.stop()


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_waiting_tasks_are_merged(shop: Shop, pool: str) -> None:
    shop.configure(worker_prefetch_multiplier=50)
    with shop.serve() as web:
        record(web, "a", 25)
    with shop.api.delay(0.3), shop.work(f"--pool={pool}") as worker:
        shop.wait_for_all()
        worker.stop()
    assert shop.api.repeated == [], worker.output
    # 101 tasks of one event each.
    assert len(shop.api.requests) <= 12, len(shop.api.requests)
