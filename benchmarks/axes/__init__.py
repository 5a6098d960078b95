"""What is measured: one module for each axis."""

from __future__ import annotations

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


class Axis(Protocol):
    """One axis. ``FIGURES``: the heading of each figure, by its key in the rows.

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
