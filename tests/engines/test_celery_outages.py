"""What becomes of events, by way of Celery, when the broker or Topsort is not well."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.engines.brokers import Broker
from tests.engines.shop import OUTBOX, Shop, Web

pytestmark = pytest.mark.engines

# A page waits for the broker for 50 ms; the rest is for a machine with two cores and other things
# to do, on which a thread that is to go on gets its turn later, and for the overflow's first row.
LONGEST = 0.05 + 0.25


def record_for(web: Web, name: str, count: int) -> None:
    """Hand over clicks one by one, and time them."""
    web.ask(f"[timed(record_click, f'{name}-{{number}}') for number in range({count})] and None")


@pytest.mark.parametrize("keeper", ["memory", "overflow"])
@pytest.mark.parametrize("fault", ["hangs", "refuses"])
def test_broker_that_fails_holds_nobody_up_and_loses_nothing(
    shop: Shop, broker: Broker, fault: str, keeper: str
) -> None:
    if keeper == "overflow":
        shop.add_outbox(overflow=OUTBOX)
    with ExitStack() as stack:
        stack.callback(lambda: broker.start() if not broker.is_running else broker.thaw())
        web = stack.enter_context(shop.serve())
        web.ask("(record_click('warm'), flush(10))")
        record_for(web, "before", 20)
        broker.freeze() if fault == "hangs" else broker.stop()
        record_for(web, "during", 60)
        assert web.get_longest() < LONGEST
        assert web.ask("get_status()['is_paused']") is (fault == "hangs") or fault == "refuses"
        broker.thaw() if fault == "hangs" else broker.start()
        record_for(web, "after", 20)
        assert web.get_longest() < LONGEST
        stack.enter_context(shop.work())
        assert web.ask("flush(30)")
        shop.wait_for_all()
