"""Rounds become figures, and figures Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.contestants import FLOOR, OURS

if TYPE_CHECKING:
    from benchmarks.axes import Axis, Goal, Row

Rounds = Mapping[str, Sequence["Row"]]  # the rows of each contestant, one for each round
LONGEST = 100  # characters of a text in a table
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"  # around the tables of a page


def build_table(axis: Axis, rounds: Rounds) -> str:
    """Return an axis as Markdown: its title, what is measured, its table, and the goals."""
    names = sort_contestants(rounds)
    lines = [
        f"## {axis.TITLE}",
        "",
        axis.ABOUT,
        "",
        f"| | {' | '.join(axis.FIGURES.values())} |",
        f"|---|{'---:|' * len(axis.FIGURES)}",
    ]
    for name in names:
        cells = [format_cell([row.get(key) for row in rounds[name]]) for key in axis.FIGURES]
        lines.append(f"| {f'**{name}**' if name == OURS else name} | {' | '.join(cells)} |")
    goals: tuple[Goal, ...] = getattr(axis, "GOALS", ())
    if goals and OURS in rounds:
        lines.append("")
        lines += [f"- {axis.FIGURES[goal.figure]}: {judge(goal, rounds)}" for goal in goals]
    return "\n".join([*lines, ""])


def sort_contestants(rounds: Rounds) -> list[str]:
    """Return the names: ours, then the floor, then the others in their order."""
    return sorted(rounds, key=lambda name: (name != OURS, name != FLOOR))


def format_cell(values: Sequence[float | str | None]) -> str:
    """Return the figures of all rounds as "min / median / max", and texts as they are."""
    numbers = get_numbers(values)
    parts = []
    if numbers:
        low, middle, high = (
            format_number(number)
            for number in (min(numbers), statistics.median(numbers), max(numbers))
        )
        parts.append(middle if low == high else f"{low} / {middle} / {high}")
    texts = Counter("-" if value is None else clean(value) for value in values if is_text(value))
    for text, times in texts.items():
        parts.append(text if times == len(values) else f"{text} ({times} of {len(values)})")
    return "; ".join(parts) or "-"


def get_numbers(values: Sequence[float | str | None]) -> list[float]:
    """Return the values that are numbers."""
    return [float(value) for value in values if isinstance(value, int | float)]


def is_text(value: float | str | None) -> bool:
    """Whether a value is a text or None."""
    return not isinstance(value, int | float)


def clean(value: object) -> str:
    """Return a text as it may stand in a table: short, on one line."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def format_number(number: float) -> str:
    """Return a number with three digits or more: 28,300, 120, 30.7, 7.12, 0.05."""
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}"
    if size >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def get_median(rows: Sequence[Row], figure: str) -> float | None:
    """Return the median of a figure, or None when a round has a text or nothing there."""
    values = [row.get(figure) for row in rows]
    numbers = get_numbers(values)
    return statistics.median(numbers) if numbers and len(numbers) == len(values) else None


def find_best(goal: Goal, rounds: Rounds) -> tuple[str, float] | None:
    """Return the peer with the best median, and the median; who is not clean does not count."""
    medians = {
        name: median
        for name, rows in rounds.items()
        if name not in {OURS, FLOOR}
        and (median := get_median(rows, goal.figure)) is not None
        and is_clean(goal, rows)
    }
    if not medians:
        return None
    choose = max if goal.is_more_better else min
    name = choose(medians, key=medians.__getitem__)
    return name, medians[name]


def is_clean(goal: Goal, rows: Sequence[Row]) -> bool:
    """Whether the figures that must be 0 are 0 in every round."""
    return not any(row.get(figure) for row in rows for figure in goal.clean)


def judge(goal: Goal, rounds: Rounds) -> str:
    """Say in one line how this package stands to the goal and to the best peer."""
    ours = get_median(rounds[OURS], goal.figure)
    if ours is None:
        return "no figure in some round; goal NOT reached"
    sentences = [format_number(ours)]
    is_reached = is_clean(goal, rounds[OURS])
    if goal.limit is not None:
        is_reached &= ours >= goal.limit if goal.is_more_better else ours <= goal.limit
        bound = "at least" if goal.is_more_better else "at most"
        sentences.append(f"goal: {bound} {format_number(goal.limit)}")
    best = find_best(goal, rounds)
    if best is None and goal.times is not None:
        return f"{sentences[0]}; no peer to compare with"
    if best is not None and goal.times is not None:
        name, theirs = best
        over, under = (ours, theirs) if goal.is_more_better else (theirs, ours)
        ratio = over / under if under else float("inf")
        is_reached &= ratio >= goal.times
        sentences.append(
            f"{format_number(ratio)} times as good as {name}, the best peer"
            f" ({format_number(theirs)}); goal: {format_number(goal.times)} times"
        )
    return f"{'; '.join(sentences)}; {'reached' if is_reached else 'NOT reached'}"


def build_head(facts: Mapping[str, str], versions: Mapping[str, Mapping[str, str]]) -> str:
    """Return the beginning: ``facts`` about the run, and the versions in each environment."""
    lines = ["## The run", ""]
    lines += [f"- {name}: {fact}" for name, fact in facts.items()]
    lines += [
        f"- {environment}: {', '.join(f'{name} {number}' for name, number in found.items())}"
        for environment, found in versions.items()
    ]
    lines += ["", "Figures are min / median / max over the rounds, or one where all are the same."]
    return "\n".join([*lines, ""])


def fill_in(page: str, tables: str) -> str:
    """Return ``page`` with ``tables`` between its two marks; ``tables`` alone where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n\n{tables.strip()}\n\n{end}{after}" if end else tables
