"""Python in a process of its own, for what a test run would not survive."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60.0


def run_script(
    code: str, *args: str, measured: bool = True, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run ``code`` with the tests' imports at hand; what it prints is in the result.

    ``measured=False``: without coverage, whose own locks do not outlive what the script does.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    if not measured:
        environment = {k: v for k, v in environment.items() if not k.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *args],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
