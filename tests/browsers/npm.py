"""Packages of npm in a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]


def install(folder: Path, *packages: str) -> None:
    """Install packages into ``folder``; skip the test where that cannot be."""
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
    try:
        subprocess.run(
            [*INSTALL, *packages],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=90,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm could not install {', '.join(packages)}: {error.stderr[-300:]}")
