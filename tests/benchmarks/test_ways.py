"""``python -m benchmarks.ways``: pages of 24 impressions, by one way and another."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import ROOT

OPTIONS = ("--seconds", "1", "--pages", "20", "--delay", "0.01", "--processes", "1")


def test_command_prints_what_each_way_costs_and_loses() -> None:
    environment = {**os.environ, "TEST_DATABASE_URL": ""}
    command = [sys.executable, "-m", "benchmarks.ways", "--ways", "nothing", "thread", "outbox"]
    done = subprocess.run(
        [*command, *OPTIONS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )

    head, _, *lines = done.stdout.strip().splitlines()
    names = [name.strip() for name in head.strip("|").split("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in rows] == ["nothing", "thread", "outbox"]
    for row in rows[1:]:
        figures = dict(zip(names, row, strict=True))
        assert (figures["lost"], figures["repeated"]) == ("0", "0")
        assert float(figures["CPU of a page's thread, ms"]) > 0
