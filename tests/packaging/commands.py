"""Commands that the tests of this folder run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return what a command prints; it must succeed."""
    keep = {
        key: value for key, value in os.environ.items() if not key.startswith(("DJANGO", "COV"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**keep, "PYTHONWARNINGS": "", **environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
