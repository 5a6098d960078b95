"""The verdict of a soak: what it must not let pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.soak.verdict import KINDS, MAX_GROWTH, Report, Taken, build_table, judge

ENDS = {"delivered": 3, "rejected": 0, "dropped": 0, "stored": 0, "waiting": 0}
COUNTS = {"recorded": 3, "taken": 0, **ENDS}


def count(**changed: int) -> dict[str, dict[str, int]]:
    """Return the accounts of a site, with other figures for purchases."""
    counts = {kind: dict(COUNTS) for kind in KINDS}
    counts["purchases"].update(delivered=2, rejected=1)
    counts["purchases"].update(changed)
    return counts


def build_report(name: str = "gunicorn", **changed: Any) -> Report:
    report = Report(
        name=name,
        said=dict.fromkeys(KINDS, 3),
        counts=count(),
        orders=frozenset({f"{name}-1", f"{name}-2"}),
        poisons=frozenset({f"{name}-poison"}),
        rejected=frozenset({f"{name}-poison"}),
        kib=[50_000 + number % 7 for number in range(100)],
    )
    return replace(report, **changed)


def build_taken(*reports: Report) -> Taken:
    counts = Counter({kind: 3 * len(reports) for kind in KINDS})
    counts["purchases"] = 2 * len(reports)
    return Taken(counts=counts, purchases={one for report in reports for one in report.orders})


def test_soak_in_which_all_arrived_is_well() -> None:
    reports = [build_report(), build_report("uvicorn")]

    assert judge(reports, build_taken(*reports)) == []
    assert reports[0].growth < 10


@pytest.mark.parametrize("kind", KINDS)
def test_event_that_did_not_arrive_is_wrong(kind: str) -> None:
    report = build_report()
    taken = build_taken(report)
    taken.counts[kind] -= 1

    (wrong,) = judge([report], taken)
    assert wrong.startswith(f"{kind}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_event_that_was_never_recorded_is_wrong(kind: str) -> None:
    report = build_report()
    report = replace(report, said={**report.said, kind: 4})

    assert judge([report], build_taken(report)) == [f"{kind}: 4 happened, 3 recorded"]


def test_purchase_that_did_not_arrive_is_wrong_though_another_did() -> None:
    report = build_report()
    taken = build_taken(report)
    taken.purchases = {"gunicorn-1", "gunicorn-3"}

    assert judge([report], taken) == [
        "purchases: 1 did not arrive: gunicorn-2",
        "purchases: 1 arrived, but nobody ordered them: gunicorn-3",
    ]


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"counts": count(rejected=0, dropped=1)}, "purchases: 1 dropped"),
        ({"counts": count(rejected=0, waiting=1)}, "purchases: 1 wait still"),
        ({"counts": count(rejected=0)}, "purchases: the accounts do not add up"),
        (
            {"unnamed": frozenset({"o"})},
            "purchases: 1 are rejected, and the log does not say so: o",
        ),
        ({"failed_pages": 2}, "2 pages failed"),
        ({"kib": [50_000 + 300 * number for number in range(100)]}, "memory grew by 18000 KiB"),
    ],
)
def test_fault_of_a_site_is_wrong(changed: dict[str, Any], wrong: str) -> None:
    report = build_report(**changed)

    (found,) = judge([report], build_taken(report))
    assert found.startswith(f"gunicorn: {wrong}")


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"rejected": frozenset()}, "1 are poison and not rejected: gunicorn-poison"),
        ({"poisons": frozenset()}, "1 are rejected for nothing: gunicorn-poison"),
    ],
)
def test_poison_is_what_is_rejected(changed: dict[str, Any], wrong: str) -> None:
    report = build_report(**changed)

    assert judge([report], build_taken(report)) == [f"purchases: {wrong}"]


def test_site_may_send_what_another_has_stored() -> None:
    storing = build_report(counts=count(delivered=0, rejected=0, stored=3), rejected=frozenset())
    poisons = storing.poisons | {"uvicorn-poison"}
    sending = build_report("uvicorn", counts=count(taken=3, delivered=4, rejected=2))
    sending = replace(sending, rejected=poisons)
    assert judge([storing, sending], build_taken(storing, sending)) == []

    lazy = replace(sending, counts=count(taken=2, delivered=3, rejected=2))
    wrong = judge([storing, lazy], build_taken(storing, sending))
    assert wrong == [
        "purchases: 1 are in the outbox still",
        "purchases: 3 delivered, the API took 4",
    ]


def test_row_that_was_sent_again_is_no_loss() -> None:
    storing = build_report(counts=count(delivered=0, rejected=0, stored=4, taken=1))
    sending = build_report("uvicorn", counts=count(taken=3, delivered=4, rejected=2))
    sending = replace(sending, rejected=storing.poisons | sending.poisons)
    taken = build_taken(storing, sending)
    taken.counts["purchases"] -= 1

    assert judge([storing, sending], taken) == []


def test_event_that_came_again_with_another_content_is_wrong() -> None:
    report = build_report()

    assert judge([report], replace(build_taken(report), altered=1)) == [
        "1 events came again with another content"
    ]


@pytest.mark.parametrize(
    ("kib", "growth"),
    [
        ([], 0),
        ([7], 0),
        ([100, 100], 0),
        # What a process takes while it becomes warm is not held against it, nor is a peak.
        ([*range(20), *[20] * 80], 0),
        ([*[20] * 50, 10 * MAX_GROWTH, *[20] * 49], 0),
        ([*[20] * 50, *[30] * 50], 10),
    ],
)
def test_growth_is_between_warm_and_the_end(kib: list[int], growth: int) -> None:
    assert build_report(kib=kib).growth == growth


def test_table_has_a_line_for_each_site_and_kind_and_one_for_the_api() -> None:
    reports = [build_report(), build_report("uvicorn")]
    head, *rows = build_table(reports, build_taken(*reports)).splitlines()

    assert head.split() == [
        "site", "kind", "happened", "recorded", "taken", "delivered", "rejected", "dropped",
        "stored", "waiting", "API", "took",
    ]  # fmt: skip
    assert rows[3].split() == ["gunicorn", "purchases", *"33021000"]
    assert [row.split() for row in rows[-4:]] == [
        ["all", kind, "4" if kind == "purchases" else "6"] for kind in KINDS
    ]
