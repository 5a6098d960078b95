"""The panel under a real server, with what became of the events, and where there is no toolbar."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from django_topsort.testing import FakeApi
from tests.browser.sending import FIREFOX
from tests.readme import ROOT, get_free_port, wait_for_port
from tests.sending.engine import wait_until
from tests.test_imports import run_code

NO_TOOLBAR = """
import sys
sys.modules["debug_toolbar"] = None  # as where it is not installed
"""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_tests") as api:
        yield api


@pytest.fixture
def site(api: FakeApi, tmp_path: Path) -> Iterator[str]:
    """Where the shop is served by ``manage.py runserver``."""
    port = get_free_port()
    log = tmp_path / "site.log"
    told = {
        "DJANGO_SETTINGS_MODULE": "tests.contrib.debug_toolbar.settings",
        "PYTHONPATH": str(ROOT),
        "TEST_API_URL": api.url,
    }
    command = [sys.executable, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--skip-checks"],
            cwd=ROOT,
            env=os.environ | told,
            stdout=output,
            stderr=output,
        ) as server,
    ):
        try:
            wait_for_port(port, server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


def fetch(url: str) -> str:
    with urlopen(Request(url, headers={"User-Agent": FIREFOX}), timeout=30) as answer:
        return str(answer.read().decode())


def open_panel(url: str) -> str:
    content: str = json.loads(fetch(url))["content"]
    return content


def test_panel_opens_and_says_what_was_delivered(site: str, api: FakeApi) -> None:
    page = fetch(f"{site}/listing/")
    (request_id,) = set(re.findall(r'data-request-id="(\w+)"', page))
    assert "Topsort: 2 impressions, 1 page view" in page
    api.wait_for(3)

    url = f"{site}/__debug__/render_panel/?request_id={request_id}&panel_id=TopsortPanel"
    # The stand-in has them before the site has its answer.
    wait_until(lambda: "on its way" not in open_panel(url))
    content = open_panel(url)
    assert content.count("<td>delivered</td>") == 3
    assert "POST /v2/events by django_topsort.backends.thread.EventBackend" in content
    assert "takes them when the response is there, and keeps nobody waiting" in content
    for event in api.events:
        assert event["id"] in content


def test_without_the_toolbar_the_error_names_the_package_and_the_rest_works() -> None:
    done = run_code(
        NO_TOOLBAR
        + """
import django_topsort.tracking, django_topsort.middleware
try:
    import django_topsort.contrib.debug_toolbar
except ImportError as error:
    print(error)
"""
    )

    assert "pip install 'django-topsort[debug-toolbar]'" in done.stdout


def test_pages_do_not_load_the_panel() -> None:
    done = run_code(
        "import django_topsort.tracking, django_topsort.middleware, sys; print([*sys.modules])"
    )

    assert "django_topsort.contrib" not in done.stdout
