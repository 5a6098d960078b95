"""Events by way of real brokers and real workers of Celery, while any of them is ended or hangs."""

from __future__ import annotations

import pytest

from tests.engines.shop import Shop

pytestmark = pytest.mark.engines


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_events_of_all_kinds_arrive_once(shop: Shop, pool: str) -> None:
    with shop.serve() as web:
        web.ask("record_all('a', 3)")
        counts = web.ask("(flush(5), accounts.get_counts())[1]")
        with shop.work(f"--pool={pool}") as worker:
            shop.wait_for_all()
            worker.stop()
    assert shop.api.repeated == [], worker.output
    assert {kind: figures["stored"] for kind, figures in counts.items()} == dict.fromkeys(counts, 3)
    assert all(figures["waiting"] == 0 for figures in counts.values())
