"""``python -m benchmarks``: measure everybody in turn, and print Markdown.

Progress goes to stderr. A contestant that breaks down is a row that says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import ROOT, axes, contestants
from benchmarks.axes import load
from benchmarks.running import Bench
from benchmarks.tables import build_head, build_table, clean, fill_in, format_cell

if TYPE_CHECKING:
    from benchmarks.axes import Axis, Row

PEERS = ROOT / ".venv-peers" / "bin" / "python"
AT_ONCE = 4  # contestants of a quick run, where it is mostly waited
OUR_REQUIREMENTS = ("Django", "django-topsort", "msgspec", "requests")


def main() -> int:
    """Run what was asked for; return 1 when this package itself has broken down somewhere."""
    options = read_options()
    run = Run(options)
    head = run.describe()
    run.write(head)
    for name in options.only:
        run.measure_axis(name)
    run.write("## What it took", "", *run.took, "")
    return 1 if run.has_failed else 0


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument(
        "--quick", action="store_true", help="fewer events: only shows that it works"
    )
    parser.add_argument("--ours", type=Path, default=Path(sys.executable), help=argparse.SUPPRESS)
    parser.add_argument("--peers", type=Path, default=PEERS, help="the Python of the peers")
    parser.add_argument("--only", nargs="+", choices=axes.ALL, default=axes.ALL, metavar="AXIS")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help="default: all of an axis")
    parser.add_argument(
        "--output",
        type=Path,
        help="a file to write the Markdown to, as well; of a page with marks, as docs/benchmarks.md"
        " has them, only what is between them",
    )
    options = parser.parse_args()
    known = {*contestants.ALL, *(name for axis in options.only for name in load(axis).CONTESTANTS)}
    if unknown := set(options.contestants or ()) - known:
        parser.error(f"nobody is called {', '.join(sorted(unknown))}; {', '.join(sorted(known))}")
    return options


@dataclass
class Run:
    """One run: what is asked for, and what has been seen and written so far."""

    options: argparse.Namespace
    took: list[str] = field(default_factory=list)
    written: str = ""
    has_failed: bool = False

    def __post_init__(self) -> None:
        # Processes begin in another directory. A link stays one: an environment is found by it.
        ours, peers = self.options.ours.absolute(), self.options.peers.absolute()
        self.bench = Bench(ours, peers, self.options.quick)
        self.has_peers = peers.is_file()
        if not self.has_peers:
            say(f"there is no {peers}: measured without the peers")
        output: Path | None = self.options.output
        self.page = output.read_text(encoding="utf-8") if output and output.is_file() else ""

    def write(self, *lines: str) -> None:
        """Print Markdown, and write it to the file, so that a run that is broken off has some."""
        text = "\n".join([*lines, ""])
        sys.stdout.write(text)
        sys.stdout.flush()
        self.written += text
        if self.options.output is not None:
            self.options.output.write_text(fill_in(self.page, self.written), encoding="utf-8")

    def describe(self) -> str:
        """Return the head: the machine, the environments and their versions."""
        facts = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "length": name_rounds(self.options.rounds)
            + (", quick: a fifth of the events or less" if self.options.quick else ""),
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        }
        versions = {"ours": self.ask_versions(self.bench.ours, OUR_REQUIREMENTS)}
        if self.has_peers:
            versions["peers"] = self.ask_versions(self.bench.peers, self.get_requirements())
        return build_head(facts, versions)

    def get_requirements(self) -> list[str]:
        """Return the distributions of the peers, each once."""
        names: dict[str, None] = {}
        for peer in contestants.PEERS:
            if self.options.contestants is None or peer in self.options.contestants:
                names[contestants.load(peer).requirement] = None
        for axis in self.options.only:
            names.update(dict.fromkeys(getattr(load(axis), "REQUIREMENTS", ())))
        return [*names]

    def ask_versions(self, python: Path, names: Iterable[str]) -> Mapping[str, str]:
        """Return the version of Python and of these distributions in an environment."""
        found = self.bench.run("benchmarks.child", "versions", *names, python=python)
        return {name: number or "is not there" for name, number in found.items()}

    def measure_axis(self, name: str) -> None:
        """Measure an axis: in each round everybody in turn, each time another one first."""
        begun = time.monotonic()
        axis = load(name)
        names = self.choose(axis)
        if not names:
            return
        rows: dict[str, list[Row]] = {contestant: [] for contestant in names}
        count = min(self.options.rounds, getattr(axis, "MOST_ROUNDS", self.options.rounds))
        for number in range(count):
            turn = number % len(names)
            order = [*names[turn:], *names[:turn]]
            for contestant, row in zip(order, self.measure_round(name, axis, order), strict=True):
                rows[contestant].append(row)
        seconds = time.monotonic() - begun
        self.took.append(f"- {name}: {name_rounds(count)}, {seconds:.0f} s")
        say(f"{name}: {name_rounds(count)} took {seconds:.0f} s")
        self.write(build_table(axis, rows))

    def measure_round(self, name: str, axis: Axis, order: list[str]) -> list[Row]:
        """Measure everybody once, one after the other where the figures are to be good."""
        if not self.options.quick or not getattr(axis, "IS_WAITING", False):
            return [self.measure(name, axis, contestant) for contestant in order]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda contestant: self.measure(name, axis, contestant), order))

    def choose(self, axis: Axis) -> list[str]:
        """Return who takes part in an axis."""
        asked = self.options.contestants
        return [
            name
            for name in axis.CONTESTANTS
            if (asked is None or name in asked)
            and (self.has_peers or self.bench.get_python(name) != self.bench.peers)
        ]

    def measure(self, name: str, axis: Axis, contestant: str) -> Row:
        """Measure one contestant once. Whatever breaks down there, the run goes on."""
        begun = time.monotonic()
        try:
            row = axis.measure(contestant, self.bench)
        except Exception as error:
            first, *others = axis.FIGURES
            row = {first: clean(f"failed: {error}"), **dict.fromkeys(others)}
            self.has_failed |= contestant == contestants.OURS
        figures = ", ".join(f"{key} {format_cell([value])}" for key, value in row.items())
        say(f"{name}: {contestant}: {figures} ({time.monotonic() - begun:.1f} s)")
        return row


def name_rounds(count: int) -> str:
    """Return "1 round" or "5 rounds"."""
    return f"{count} round{'s' if count != 1 else ''}"


def say(text: str) -> None:
    """Say how it goes, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
