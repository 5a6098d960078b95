"""Processes that are killed at any point of an order's life: no order is lost, none is invented."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

import pytest

from tests.faults.shops import Ended, Process, Shop, wait_until

pytestmark = pytest.mark.faults
pytest_plugins = ["tests.faults.market.fixtures"]

# In parts, so that none takes as long as a test that hangs, and several run at once.
PARTS = 4
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "40")) // PARTS
POINTS = (
    "statement",
    "statement",
    "statement",
    "before the commit",
    "first hook",
    "last hook",
    "after the commit",
    "while Topsort is asked",
    "while Topsort answers",
    "any",
    "any",
    "any",
    "none",
)
# Of an order's life, begin to end, while nothing else runs; those who live longer are killed later.
LONGEST = 0.25
STATEMENTS = 44
SETTINGS: dict[str, Any] = {
    "TOPSORT_OUTBOX_RELAY": True,
    "TOPSORT_OUTBOX_LEASE": 5,
    "TOPSORT_OUTBOX_SWEEP_INTERVAL": 1,
}


class Zygote:
    """The other side of ``tests.faults.market.zygote``."""

    def __init__(self, shop: Shop) -> None:
        self.process: Process = shop.start(
            "from tests.faults.market.zygote import main\nmain()", **SETTINGS
        )

    def ask(self, **told: Any) -> int:
        pipe, answers = self.process.process.stdin, self.process.process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(f"{json.dumps(told)}\n")
        pipe.flush()
        answer = answers.readline()
        assert answer, self.process.log.read_text()
        return int(answer)

    def close(self) -> Ended:
        return self.process.wait()


class Killer:
    """Starts lives and ends them."""

    def __init__(self, shop: Shop, zygote: Zygote, chance: random.Random) -> None:
        self.shop = shop
        self.zygote = zygote
        self.chance = chance
        self.killed: Counter[str] = Counter()
        self.refused: set[str] = set()

    def run_round(self, number: int) -> None:
        """Let two orders live side by side, and sometimes a relay; kill what is to be killed."""
        lives = [self.begin(f"{number}-{name}") for name in ("a", "b")]
        if self.chance.random() < 0.3:
            lives.append((self.zygote.ask(job="relay"), "any"))
        for pid, point in lives:
            self.end(pid, point)

    def begin(self, number: str) -> tuple[int, str]:
        point = self.chance.choice(POINTS)
        is_refused = self.chance.random() < 0.2
        if is_refused:
            self.refused.add(number)
        if point == "while Topsort is asked":
            self.shop.api.delay(
                0.3, times=1, matches=lambda request: number.encode() in request.body
            )
        if point == "while Topsort answers":
            self.shop.api.lose_answers(
                1, end="hang", matches=lambda request: number.encode() in request.body
            )
        pid = self.zygote.ask(
            job="live",
            number=number,
            is_refused=is_refused,
            is_finished=self.chance.random() < 0.3,
            point=point,
            statement=self.chance.randint(1, STATEMENTS),
        )
        return pid, point

    def end(self, pid: int, point: str) -> None:
        if point == "any":
            time.sleep(self.chance.random() * LONGEST)
            os.kill(pid, signal.SIGKILL)
        elif point.startswith("while"):
            time.sleep(LONGEST)
            os.kill(pid, signal.SIGKILL)
        code = self.zygote.ask(reap=pid)
        assert code in (0, -signal.SIGKILL), point
        self.killed[point] += code != 0


@pytest.mark.parametrize("part", range(PARTS))
def test_committed_orders_are_delivered_once_whenever_their_processes_are_killed(
    shop: Shop, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    zygote = Zygote(shop)
    killer = Killer(shop, zygote, random.Random(seed))
    begun = time.monotonic()

    for number in range(ROUNDS):
        killer.run_round(number)
    took = time.monotonic() - begun
    ended = zygote.close()
    shop.api.clear_faults()
    relay = shop.start_relay(**SETTINGS)
    wait_until(lambda: is_over(shop))
    relay.send(signal.SIGTERM)

    # The second where so few rounds were made that it was asked to end before it had begun.
    assert relay.wait().code in (0, -signal.SIGTERM)
    committed = get_committed(shop)
    received = [event["id"] for event in shop.api.purchases]
    said = (
        f"part {part}, seed {seed}, {ROUNDS} rounds in {took:.0f} s, killed {dict(killer.killed)}"
    )
    assert ended.code == 0, ended.log
    assert Counter(received) == Counter(committed), said
    assert committed.isdisjoint(killer.refused), said
    assert shop.api.altered == [], said
    assert set(shop.database.get_rows().values()) == {"delivered"}, said
    with capsys.disabled():
        sent = f"{len(committed)} committed, {len(shop.api.repeated)} sent again"
        sys.stdout.write(f"\n{said}; {sent}\n")


def get_committed(shop: Shop) -> set[str]:
    return {number for (number,) in shop.database.query("SELECT number FROM shop_order")}


def is_over(shop: Shop) -> bool:
    """Whether nothing waits any more.

    A server may be at the commit of a process that is dead: its row is seen only then.
    """
    committed = get_committed(shop)
    waiting = shop.database.count("pending") + shop.database.count("announced")
    return waiting == 0 and committed <= {event["id"] for event in shop.api.purchases}
