"""The panel under a real server, with what became of the events, and where there is no toolbar."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from django_topsort.testing import FakeApi
from tests.browser.sending import FIREFOX
from tests.readme import PAGES, ROOT, get_blocks, get_free_port, wait_for_port
from tests.sending.engine import wait_until
from tests.test_imports import run_code

PANEL = ROOT / "django_topsort" / "contrib" / "debug_toolbar"
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


def test_settings_of_the_page_name_a_panel_that_loads() -> None:
    blocks = get_blocks(PAGES["howto/debug-toolbar.md"])
    by_key = {block.title or block.language: block for block in blocks}
    console, block = by_key["console"], by_key["mysite/settings.py"]
    assert "django-topsort[debug-toolbar]" in console.text
    assert "debug-toolbar" in get_extras()
    done = run_code(
        block.text
        + """
import django
from django.conf import settings
from django.core.management import call_command
OURS = "django_topsort.middleware.TopsortMiddleware"
settings.configure(
    DEBUG=True,
    DEBUG_TOOLBAR_PANELS=DEBUG_TOOLBAR_PANELS,
    INSTALLED_APPS=["django_topsort", "django.contrib.staticfiles", "debug_toolbar"],
    MIDDLEWARE=[OURS, "debug_toolbar.middleware.DebugToolbarMiddleware"],
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    TOPSORT_API_KEY="TSE_tests",
)
django.setup()
call_command("check", fail_level="WARNING")
from debug_toolbar.toolbar import DebugToolbar
print([panel.__name__ for panel in DebugToolbar.get_panel_classes()])
"""
    )

    assert "'TopsortPanel'" in done.stdout


def get_extras() -> set[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return {*tomllib.load(file)["project"]["optional-dependencies"]}


def test_page_names_what_the_panel_says() -> None:
    page = PAGES["howto/debug-toolbar.md"]
    said = page[page.index("| said in the panel") : page.index("What a browser reports of")]
    rows = [row.split("|")[1].strip() for row in said.splitlines()[2:] if row.startswith("|")]
    source = (PANEL / "origins.py").read_text(encoding="utf-8")
    source = source.replace("{cookie}", "tsuid").replace("{USER_HEADER}", "X-Topsort-User")

    phrases = [phrase for row in rows for phrase in row.split(", ")]

    assert len(phrases) > 10
    assert [phrase for phrase in phrases if phrase not in source] == []


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

    assert 'pip install "django-topsort[debug-toolbar]"' in done.stdout


def test_pages_do_not_load_the_panel() -> None:
    done = run_code(
        "import django_topsort.tracking, django_topsort.middleware, sys; print([*sys.modules])"
    )

    assert "django_topsort.contrib" not in done.stdout
