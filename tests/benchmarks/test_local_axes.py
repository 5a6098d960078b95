"""The axes within a process, each with as little as will do: every figure is there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import contestants
from benchmarks.axes import load
from benchmarks.axes.starting import compare
from benchmarks.doors import BUILDERS
from benchmarks.running import Bench

SINK = "sink"  # stands for the sink's address among arguments
OURS, FLOOR = contestants.OURS, contestants.FLOOR
# What the measured side is called with, and which of its figures there are.
RUNS: dict[str, tuple[tuple[object, ...], set[str]]] = {
    "recording": ((SINK, 2), {"hot", "mean", "paced", "cold"}),
    "starting": ((SINK,), {"wall", "cpu", "memory", "modules", "first_event", "first_page"}),
    "memory": ((480, "traced"), {"bytes"}),
    "threads": ((SINK, 2, 4), {"cpu", "rate"}),
    "pages": ((SINK, 500), {"1", "10", "100", "1000"}),
}
# And what only we do.
OURS_ALONE: dict[str, tuple[tuple[object, ...], set[str]]] = {
    "tags": ((2,), {"tag", "empty", "function", "ratio", "attrs", "jinja2"}),
    "backlog": ((10_000,), {"in", "out"}),  # fewer could be gone between two looks at the sink
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(ours=Path(sys.executable), peers=tmp_path / "no-peers", is_quick=True)


def run(bench: Bench, axis: str, *arguments: object) -> dict[str, float]:
    """Run the measured side of an axis; return its figures that are positive numbers."""
    with bench.open_sink() as sink:
        given = [sink.url if argument is SINK else argument for argument in arguments]
        said = bench.run(f"benchmarks.axes.{axis}", *given)
    return {key: value for key, value in said.items() if value is not None and value > 0}


@pytest.mark.parametrize("contestant", [OURS, FLOOR])
@pytest.mark.parametrize("axis", [*RUNS])
def test_axis_measures_us_and_the_floor(bench: Bench, axis: str, contestant: str) -> None:
    arguments, expected = RUNS[axis]

    assert run(bench, axis, contestant, *arguments).keys() >= expected


@pytest.mark.parametrize("axis", [*OURS_ALONE])
def test_axis_measures_us_alone(bench: Bench, axis: str) -> None:
    arguments, expected = OURS_ALONE[axis]

    assert run(bench, axis, *arguments).keys() >= expected


@pytest.mark.parametrize("contestant", [OURS, FLOOR])
def test_axis_measures_middleware(bench: Bench, contestant: str) -> None:
    said = bench.run("benchmarks.axes.middleware", contestant, 2)

    # A difference of a microsecond or two, which may get lost in what else the machine does.
    assert {key for key, value in said.items() if isinstance(value, float)} == {"sync", "async"}


@pytest.mark.parametrize("contestant", [OURS, "drf_serializers", "msgspec_view"])
def test_axis_measures_doors(bench: Bench, contestant: str) -> None:
    assert contestant in {OURS, *BUILDERS}

    assert run(bench, "door", contestant, 5).keys() >= {"organic", "rate", "sponsored", "ratio"}


def test_figures_that_only_we_have(bench: Bench) -> None:
    assert run(bench, "recording", OURS, SINK, 25)["organic"] < 1000
    assert run(bench, "starting", OURS, SINK)["door"] > 0
    assert run(bench, "starting", "-", SINK).keys() == {"wall", "cpu", "memory", "modules"}


def test_starting_is_what_there_is_more() -> None:
    full = [
        {"wall": wall, "memory": memory} for wall, memory in ((9.0, 5.0), (7.0, 6.0), (8.0, 9.0))
    ]
    bare = [{"wall": wall, "memory": 1.0} for wall in (3.0, 4.0, 2.0)]
    missing = dict.fromkeys(load("starting").FIGURES)

    figures = compare([missing | row for row in full], [missing | row for row in bare])

    assert figures == missing | {"wall": 5.0, "memory": 5.0}


@pytest.mark.parametrize("axis", ["pages", "middleware"])
def test_measure_returns_the_figures_of_the_axis(bench: Bench, axis: str) -> None:
    module = load(axis)

    assert module.measure(OURS, bench).keys() == module.FIGURES.keys()
