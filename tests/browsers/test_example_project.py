"""The example shop in a real browser: its demo counts what the page's own script has reported."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.example_project.test_example_project import PROJECT, run

pytestmark = pytest.mark.browsers


def test_demo_in_chromium_ends_well() -> None:
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt install chromium-driver)")

    done = run(PROJECT / "demo.py", "--browser", PYTHONWARNINGS="")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ALL IS WELL" in done.stdout
    assert re.search(r"^click .* browser +bird-house \(banner's bid", done.stdout, re.MULTILINE)
