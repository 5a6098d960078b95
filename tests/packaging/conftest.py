"""What is built once for all tests of this folder: the sdist and the wheel to publish."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.packaging.commands import run

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [
    ".ci",
    ".github",
    "benchmarks",
    "django_topsort",
    "docs",
    "example_project",
    "requirements",
    "tests",
]
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.py[co]", "*.sqlite3", ".*_cache")


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with an sdist, and with the wheel that was built from that sdist.

    They are those of a release, where TOPSORT_DIST says where these are.
    """
    if given := os.environ.get("TOPSORT_DIST"):
        return Path(given)
    base = tmp_path_factory.mktemp("source")
    source = base / "source"
    source.mkdir()
    for name in SHIPPED:
        shutil.copytree(ROOT / name, source / name, ignore=NOT_SHIPPED)
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix != ".sqlite3":
            shutil.copy(path, source / path.name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", base / "dist", cwd=source)
    return base / "dist"


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path
