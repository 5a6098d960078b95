"""The example project: its own tests pass, and its demo ends well.

Both run in processes of their own, with the settings of the example.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "example_project"
# A new session has no terminal until it takes one; then Ctrl-C there reaches its processes.
ON_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[:] = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition("/")[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def build_environment() -> dict[str, str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "SHOP_DATABASE": ":memory:",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)  # that of our own tests
    return environment


def run(
    *arguments: str | Path, cwd: Path = PROJECT, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=build_environment() | variables,
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


def test_shop_passes_the_checks_and_its_tests_with_the_toolbar() -> None:
    checks = run("manage.py", "check", "--fail-level", "WARNING", SHOP_TOOLBAR="1")
    tests = run("manage.py", "test", SHOP_TOOLBAR="1")

    assert checks.returncode == 0, checks.stdout + checks.stderr
    assert tests.returncode == 0, tests.stdout + tests.stderr


def test_demo_shows_what_topsort_received(tmp_path: Path) -> None:
    done = run(PROJECT / "demo.py", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines() if "  " in line]
    assert head == ["kind", "id", "user", "said", "by", "product", "status"]
    for who, clicks in {"(guest)": 3, "(customer)": 1}.items():
        kinds = [row[0] for row in rows if who in row]
        assert kinds == ["page", *["impression"] * 2, *["click"] * clicks, "purchase", "more"]
    # The shop knows which product a bid was for: the impression and the click name it alike.
    for product in ("heather-honey", "copper-watering-can"):
        bids = re.findall(
            rf"^(\w+) .* {product} \(bid (\S+)\) +204 taken$", done.stdout, re.MULTILINE
        )
        assert [kind for kind, _ in bids] == ["impression", "click"]
        assert len({bid for _, bid in bids}) == 1
    assert re.search(r"^more .* \d+ page views, \d+ impressions  ", done.stdout, re.MULTILINE)
    # What is seen is said by browsers, also where a banner leads; clicks and orders by the shop.
    said_by = re.findall(r"^(\w+) .* (browser|shop) .*204 taken$", done.stdout, re.MULTILINE)
    assert set(said_by) == {
        ("page", "browser"),
        ("impression", "browser"),
        ("click", "shop"),
        ("click", "browser"),
        ("purchase", "shop"),
    }
    *_, told, verdict = done.stdout.splitlines()
    assert re.search(r"The browsers said .* \d+ impressions, 1 click\. The shop said", told)
    assert "ALL IS WELL" in verdict


def test_demo_in_a_browser_says_what_is_missing(tmp_path: Path) -> None:
    done = run(PROJECT / "demo.py", "--browser", cwd=tmp_path, PATH=str(tmp_path))

    assert done.returncode == 1, done.stdout
    assert re.search(r"--browser needs (chromium and chromedriver|Selenium)", done.stderr)


def test_demo_fails_with_the_log_of_a_server_that_does_not_start(tmp_path: Path) -> None:
    done = run(PROJECT / "demo.py", cwd=tmp_path, SHOP_HOSTS="elsewhere.example")

    assert done.returncode == 1, done.stdout
    assert "answered 400" in done.stderr
    assert "Invalid HTTP_HOST header" in done.stderr


def test_demo_on_a_terminal_serves_until_ctrl_c(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, PROJECT / "demo.py"],
        cwd=tmp_path,
        env=build_environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = ""
        with suppress(OSError):  # a terminal that nobody writes to any more: the demo has ended
            while "Ctrl-C ends both." not in shown:
                shown += os.read(ours, 4096).decode()
        assert "ALL IS WELL" in shown, shown
        urls = re.findall(r"http://127\.0\.0\.1:\d+/", shown)
        answers = [urllib.request.urlopen(url, timeout=10).status for url in urls]
        os.write(ours, b"\x03")
        code = demo.wait(30)
    finally:
        demo.kill()
        demo.wait()
        os.close(ours)

    assert code == 0, shown
    assert answers == [200, 200], shown
    for url in urls:
        with pytest.raises(URLError):
            urllib.request.urlopen(url, timeout=10)
