"""docs/tutorial.md with a real browser: what its script reports is what the page says."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.browsers.chromium import start_chromium
from tests.browsers.conftest import require_chromium
from tests.packaging.tutorial import Reader, get_page
from tests.readme import ROOT

pytestmark = pytest.mark.browsers

# Here the package is used as it lies; tests/packaging installs it as the page says.
INSTALLING = ("python -m venv", ". .venv/bin/activate", "python -m pip install")


class ChromiumShopper:
    """A shopper with a real browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def look(self, seconds: float) -> None:
        time.sleep(seconds)  # a shopper does nothing else

    def click(self, text: str) -> None:
        self.driver.find_element(By.LINK_TEXT, text).click()

    def press(self, text: str) -> None:
        self.driver.find_element(By.XPATH, f"//button[text()='{text}']").click()


def write_programs(folder: Path) -> str:
    """Make ``python`` and ``django-admin`` of this environment; return the ``PATH`` with them."""
    folder.mkdir()
    for name, more in (("python", ""), ("django-admin", " -m django")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{more} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture
def own_driver() -> Iterator[webdriver.Chrome]:
    """A browser of its own: cookies are not told apart by ports, and would stay for other tests."""
    require_chromium()
    driver = start_chromium()
    yield driver
    driver.quit()


def test_tutorial_works_with_a_real_browser(own_driver: webdriver.Chrome, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    path = write_programs(tmp_path / "programs")
    reader = Reader(folder, ChromiumShopper(own_driver), path, PYTHONPATH=str(ROOT))
    lines = get_page().splitlines(keepends=True)

    reader.follow("".join(line for line in lines if not line.startswith(INSTALLING)))

    assert reader.done.count("do") == 6
