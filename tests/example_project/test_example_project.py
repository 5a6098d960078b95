"""The example project: its own tests pass, and its demo ends well.

Both run in processes of their own, with the settings of the example.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "example_project"


def run(
    *arguments: str | Path, cwd: Path = PROJECT, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=110,
    )


def test_shop_passes_its_own_tests() -> None:
    done = run("manage.py", "test", "--shuffle")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 0 tests" not in done.stderr


def test_shop_has_no_pending_migrations_and_passes_the_checks() -> None:
    migrations = run("manage.py", "makemigrations", "--check", "--dry-run")
    checks = run("manage.py", "check", "--fail-level", "WARNING")

    assert migrations.returncode == 0, migrations.stdout + migrations.stderr
    assert checks.returncode == 0, checks.stdout + checks.stderr


def test_demo_shows_what_topsort_received(tmp_path: Path) -> None:
    done = run(PROJECT / "demo.py", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines() if "  " in line]
    assert head == ["kind", "id", "user", "product", "status"]
    assert {row[0] for row in rows[1:]} == {"impression", "click", "purchase", "page"}
    assert "(guest)" in done.stdout
    assert "(customer)" in done.stdout
    assert "ALL IS WELL" in done.stdout.splitlines()[-1]


def test_demo_fails_with_the_log_of_a_server_that_does_not_start(tmp_path: Path) -> None:
    done = run(PROJECT / "demo.py", cwd=tmp_path, SHOP_HOSTS="elsewhere.example")

    assert done.returncode == 1, done.stdout
    assert "answered 400" in done.stderr
    assert "Invalid HTTP_HOST header" in done.stderr
