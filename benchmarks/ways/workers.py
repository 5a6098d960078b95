"""The workers of a way: other processes, and how much CPU they take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

from benchmarks import ROOT

CELERY = ("-m", "celery", "-A", "benchmarks.ways.celery_app", "worker")
COMMANDS: dict[str, tuple[str, ...]] = {
    # As docs/howto/celery.md has it: what a worker has fetched goes with the next request.
    "celery": (*CELERY, "--prefetch-multiplier", "50", "--loglevel", "WARNING"),
    "tasks": ("-m", "django", "db_worker", "--interval", "0.1"),
}
ENDING = 10.0  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def run_workers(
    way: str, count: int, environment: dict[str, str], pool: str = "prefork"
) -> Iterator[list[int]]:
    """Let ``count`` workers of a way work in the block; yield their process groups.

    ``pool``: whether Celery's are processes or ``"threads"`` of one.
    """
    if way not in COMMANDS:
        yield []
        return
    command = COMMANDS[way]
    commands = [command] * count
    if way == "celery":
        commands = [(*command, "--pool", pool, "--concurrency", str(count))]
    processes = [
        subprocess.Popen(
            [sys.executable, *one],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for one in commands
    ]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)
            process.wait()


def get_cpu(groups: list[int]) -> float:
    """Return the seconds of CPU that the processes of these groups have taken so far."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) in groups:
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def wait_for_cpu_to_rest(groups: list[int], limit: float = 30.0) -> None:
    """Wait until the workers have started, and stand still."""
    deadline = time.monotonic() + limit
    before = -1.0
    while groups and time.monotonic() < deadline:
        now = get_cpu(groups)
        if now > 0 and now - before < 0.02:
            return
        before = now
        time.sleep(1.0)
