"""What is measured: one module for each axis."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from benchmarks.running import Bench

ALL = (
    "recording",
    "tags",
    "middleware",
    "cpu",
    "burst",
    "answers",
    "requests",
    "outage",
    "endings",
    "killed",
    "forked",
    "starting",
    "door",
    "memory",
    "threads",
    "pages",
    "backlog",
)

Row = dict[str, float | str | None]


@dataclass(frozen=True)
class Goal:
    """What this package is to reach in one figure, by the medians.

    ``limit``: at most that, or at least, if more is better. ``times``: so many times as good as the
    best peer. ``clean``: figures that must be 0, or a peer is not compared with: who loses events
    is fast.
    """

    figure: str
    limit: float | None = None
    times: float | None = None
    is_more_better: bool = False
    clean: tuple[str, ...] = ()


class Axis(Protocol):
    """One axis. ``FIGURES``: the heading of each figure, by its key in the rows.

    A module may have, besides: ``GOALS``, a tuple of Goal; ``MOST_ROUNDS``, where a round takes
    long; ``IS_WAITING``, where it is mostly waited: there a quick run measures several at once;
    ``REQUIREMENTS``, distributions whose versions are to be shown, too.

    ``measure`` is called once a round for each contestant and returns its figures: numbers are
    shown as min / median / max over the rounds, None as "-", text as it is. Whatever is measured
    runs in a fresh process (``bench.run``).
    """

    TITLE: str
    ABOUT: str
    FIGURES: dict[str, str]
    CONTESTANTS: tuple[str, ...]

    def measure(self, contestant: str, bench: Bench) -> Row:
        """Measure one contestant once."""


def load(name: str) -> Axis:
    """Return the axis ``name``: a module, whose functions and constants are the protocol's."""
    return cast("Axis", import_module(f"benchmarks.axes.{name}"))
