"""The tables of the benchmarks: what becomes of the figures of several rounds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.axes import Axis, Goal, Row
from benchmarks.tables import (
    BEGIN,
    END,
    build_head,
    build_table,
    fill_in,
    format_cell,
    format_number,
    judge,
)

FASTER = Goal("rate", times=4.0, is_more_better=True, clean=("lost",))
CHEAPER = Goal("cpu", times=4.0)
FIRST = Goal("wait", limit=0.5)


def build_axis(*goals: Goal) -> Axis:
    figures = {"rate": "events/s", "lost": "lost, %"}
    axis = SimpleNamespace(TITLE="A burst", ABOUT="Many events.", FIGURES=figures, GOALS=goals)
    return cast("Axis", axis)


def build_rounds(**medians: float) -> dict[str, list[Row]]:
    """Return three rounds of the rate, of which the second of a row is the median."""
    return {
        name: [{"rate": rate * part, "lost": 0.0} for part in (2, 0.5, 1)]
        for name, rate in medians.items()
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (28_300.4, "28,300"),
        (100.0, "100"),
        (30.74, "30.7"),
        (7.123, "7.12"),
        (0.0512, "0.051"),
        (-0.25, "-0.25"),
    ],
)
def test_numbers_have_the_digits_that_matter(number: float, text: str) -> None:
    assert format_number(number) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3.0, 1.0, 2.0], "1 / 2 / 3"),
        ([4.0, 1.0], "1 / 2.50 / 4"),
        ([5.0, 5.0], "5"),
        ([None, None], "-"),
        ([1.0, None, 1.0], "1; - (1 of 3)"),
        (["failed: a | b\nc"], "failed: a \\| b c"),
        ([], "-"),
    ],
)
def test_cells_hold_all_rounds(values: list[Any], text: str) -> None:
    assert format_cell(values) == text


def test_long_texts_are_cut() -> None:
    assert format_cell(["x" * 500]) == "x" * 97 + "..."


def test_table_has_ours_first_and_the_goals_below() -> None:
    rounds = build_rounds(mixpanel=20_000, floor=300_000, topsort=100_000)

    verdict = "100,000; 5 times as good as mixpanel, the best peer (20,000); goal: 4 times; reached"

    assert build_table(build_axis(FASTER), rounds).splitlines() == [
        "## A burst",
        "",
        "Many events.",
        "",
        "| | events/s | lost, % |",
        "|---|---:|---:|",
        "| **topsort** | 50,000 / 100,000 / 200,000 | 0 |",
        "| floor | 150,000 / 300,000 / 600,000 | 0 |",
        "| mixpanel | 10,000 / 20,000 / 40,000 | 0 |",
        "",
        f"- events/s: {verdict}",
    ]


def test_table_without_us_has_no_goals() -> None:
    assert "goal" not in build_table(build_axis(FASTER), build_rounds(mixpanel=20_000))


def test_who_loses_events_is_no_peer_to_compare_with() -> None:
    rounds = build_rounds(topsort=100_000, posthog=90_000, mixpanel=50_000)
    rounds["posthog"][1]["lost"] = 0.1

    assert "2 times as good as mixpanel" in judge(FASTER, rounds)


def test_we_do_not_reach_a_goal_by_losing_events() -> None:
    rounds = build_rounds(topsort=100_000, mixpanel=10_000)
    rounds["topsort"][0]["lost"] = 3.0

    assert judge(FASTER, rounds).endswith("goal: 4 times; NOT reached")


def test_less_can_be_better() -> None:
    rounds: dict[str, list[Row]] = {"topsort": [{"cpu": 10.0}], "snowplow": [{"cpu": 30.0}]}

    assert judge(CHEAPER, rounds) == (
        "10; 3 times as good as snowplow, the best peer (30); goal: 4 times; NOT reached"
    )


@pytest.mark.parametrize(("wait", "verdict"), [(0.5, "reached"), (0.75, "NOT reached")])
def test_a_goal_can_be_a_limit(wait: float, verdict: str) -> None:
    assert judge(FIRST, {"topsort": [{"wait": wait}]}) == (
        f"{format_number(wait)}; goal: at most 0.50; {verdict}"
    )


def test_without_peers_nothing_is_said_of_a_ratio() -> None:
    assert judge(FASTER, build_rounds(topsort=5, floor=6)) == "5; no peer to compare with"


def test_a_round_that_failed_reaches_no_goal() -> None:
    assert judge(FIRST, {"topsort": [{"wait": 0.1}, {"wait": "failed: no word"}]}) == (
        "no figure in some round; goal NOT reached"
    )


def test_head_says_what_was_measured_with_what() -> None:
    head = build_head(
        {"date": "2026-11-30", "machine": "2 cores"},
        {"ours": {"Python": "3.11.7", "Django": "5.2.19"}, "peers": {"posthog": "7.91"}},
    )

    assert head.splitlines()[2:6] == [
        "- date: 2026-11-30",
        "- machine: 2 cores",
        "- ours: Python 3.11.7, Django 5.2.19",
        "- peers: posthog 7.91",
    ]


@pytest.mark.parametrize("page", ["", "# Figures\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n"])
def test_file_without_both_marks_has_the_tables_alone(page: str) -> None:
    assert fill_in(page, "## A burst\n") == "## A burst\n"


def test_page_keeps_what_is_around_its_marks_and_can_be_renewed() -> None:
    page = fill_in(f"# Figures\n{BEGIN}\n{END}\nSo much.\n", "## Old\n")

    assert fill_in(page, "## New\n") == f"# Figures\n{BEGIN}\n\n## New\n\n{END}\nSo much.\n"
