"""A day on paper: what comes is carried, or waits."""

from __future__ import annotations

import pytest

from benchmarks.ways.day import DAY, Day, simulate


def test_a_day_has_its_events() -> None:
    ledger = simulate(Day(30e6, 5.0, carried=1e6))

    assert ledger.came == pytest.approx(30e6, rel=0.001)
    assert ledger.carried == pytest.approx(ledger.came)


def test_the_busiest_second_is_so_many_times_the_average() -> None:
    day = Day(30e6, 5.0, carried=1.0)

    rates = [day.get_rate(second) for second in range(DAY)]

    assert max(rates) == pytest.approx(5 * 30e6 / DAY)
    assert min(rates) > 0


def test_nothing_waits_where_the_busiest_second_is_carried() -> None:
    assert simulate(Day(30e6, 5.0, carried=5 * 30e6 / DAY)).backlog == 0


def test_what_an_outage_leaves_is_carried_afterwards() -> None:
    day = Day(30e6, 5.0, carried=2000.0, outage=1800.0)

    ledger = simulate(day)

    during = sum(day.get_rate(second) for second in range(72_000, 73_800))
    assert ledger.backlog == pytest.approx(during)
    assert 0 < ledger.caught_up < 1800
    assert ledger.left == 0
    assert ledger.carried == pytest.approx(ledger.came)


def test_what_too_few_workers_leave_is_said() -> None:
    ledger = simulate(Day(30e6, 5.0, carried=200.0, outage=1800.0))

    assert ledger.caught_up == 0
    assert ledger.left == pytest.approx(ledger.came - ledger.carried)
    assert ledger.left > 0
