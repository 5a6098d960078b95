"""``python -m benchmarks``, as somebody types it who has no peers installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import ROOT
from benchmarks.running import Bench, Failed, TimedOut
from benchmarks.tables import BEGIN, END

OPTIONS = ("--quick", "--rounds", "1", "--only", "requests", "--contestants", "topsort", "floor")


def test_command_prints_a_table_and_renews_those_of_a_page(tmp_path: Path) -> None:
    output = tmp_path / "figures.md"
    output.write_text(
        f"# Figures\n\n{BEGIN}\n\nof last year\n\n{END}\n\nSo much.\n", encoding="utf-8"
    )
    missing = tmp_path / "no-peers"
    command = [sys.executable, "-m", "benchmarks", *OPTIONS]
    done = subprocess.run(
        [*command, "--peers", str(missing), "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert f"there is no {missing}: measured without the peers" in done.stderr
    assert output.read_text(encoding="utf-8") == (
        f"# Figures\n\n{BEGIN}\n\n{done.stdout.strip()}\n\n{END}\n\nSo much.\n"
    )
    assert re.search(r"^- ours: Python 3\.\d+\.\S+, Django \d", done.stdout, re.MULTILINE)
    rows = dict(re.findall(r"^\| (\S+) \| ([^|]+) \|", done.stdout, re.MULTILINE))
    assert rows == {"**topsort**": "20", "floor": "20"}  # 1,000 events, 50 a request
    assert "- requests per 1,000 events: 20; goal: at most 21; reached" in done.stdout


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(ours=Path(sys.executable), peers=tmp_path / "no-peers")


def test_a_process_that_breaks_down_says_why(bench: Bench) -> None:
    with pytest.raises(Failed, match=r"^KeyError: 'nothing' \(exit code 1\)$"):
        bench.run("benchmarks.child", "nothing")


def test_a_process_that_takes_too_long_is_ended(bench: Bench) -> None:
    url = "http://127.0.0.1:9"
    with (
        bench.begin("benchmarks.child", "end", "floor", url, 0, "signal") as process,
        pytest.raises(TimedOut),
    ):
        process.finish(0.2)

    assert process.wait(0.0)


def test_versions_are_asked_of_the_environment(bench: Bench) -> None:
    found = bench.run("benchmarks.child", "versions", "django", "no-such-distribution")

    assert found.keys() == {"Python", "django", "no-such-distribution"}
    assert found["no-such-distribution"] is None
