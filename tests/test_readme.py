"""The README is right: every block, name, setting, tag and command in it."""

from __future__ import annotations

import ast
import json
import re
import sys
import time
from pathlib import Path
from pkgutil import resolve_name
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest
from django.core.management import get_commands
from django.template import engines
from django.utils.module_loading import import_string

from django_topsort.conf import SETTINGS
from django_topsort.templatetags.topsort import register
from tests.readme import PAGES, README, ROOT, Block, Newcomer, get_blocks

ALL_PAGES = "\n".join([README, *PAGES.values()])
PYTHON_BLOCKS = [block for block in get_blocks(ALL_PAGES) if block.language == "python"]


def get_names() -> list[str]:
    return sorted(set(re.findall(r"`(django_topsort(?:\.\w+)+)`", ALL_PAGES)))


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: block.text.split("\n")[0][:40])
def test_python_block_parses_and_its_imports_exist(block: Block) -> None:
    imports = [
        node
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_topsort")
    ]
    for node in imports:
        for alias in node.names:
            assert import_string(f"{node.module}.{alias.name}") is not None


@pytest.mark.parametrize("name", get_names())
def test_name_exists(name: str) -> None:
    assert resolve_name(name) is not None


def test_settings_table_is_that_of_the_code() -> None:
    rows = {}
    for name, setting in SETTINGS.items():
        default = "none" if setting.default is None else f"`{setting.default!r}`"
        rows[name] = f"| `{name}` | {default} | {setting.__doc__} |"
    found = re.findall(r"^\| `TOPSORT_\w+` \|.*$", README, re.MULTILINE)
    assert found == list(rows.values())


def test_settings_named_anywhere_exist() -> None:
    named = set(re.findall(r"\bTOPSORT_[A-Z_]+\b", ALL_PAGES))
    assert named <= set(SETTINGS)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_linked_and_names_commands_and_targets_that_exist(page: str) -> None:
    commands = set(re.findall(r"manage.py (topsort_\w+)", PAGES[page]))
    targets = set(re.findall(r"`make ([a-z-]+)", PAGES[page]))

    # Those in folders are reached by the site's tables of contents: tests/docs/test_pages.py.
    assert f"(docs/{page})" in README or "/" in page
    assert commands <= set(get_commands())
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_tags_are_all_described_and_exist() -> None:
    named = set(re.findall(r"{% (topsort_\w+)", README))
    assert named == set(register.tags)


def test_html_blocks_of_django_compile() -> None:
    blocks = [b for b in get_blocks() if b.language == "html" and "{%" in b.text]
    assert blocks
    for block in blocks:
        assert engines["django"].from_string(block.text) is not None


def test_commands_are_all_described_and_exist() -> None:
    commands = {name for name, app in get_commands().items() if app.startswith("django_topsort")}
    assert commands == set(re.findall(r"manage.py (topsort_\w+)", README))


def test_links_to_sections_lead_somewhere() -> None:
    titles = re.findall(r"^##+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    links = set(re.findall(r"\]\(#([\w-]+)\)", README))
    assert links <= anchors


def test_setup_in_a_new_project_reports_all_kinds(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path, sys.executable)
    with newcomer.set_up():
        browse(f"http://127.0.0.1:{newcomer.site_port}")
        received = wait_for_kinds(f"http://127.0.0.1:{newcomer.api_port}")
    assert received == {"impressions": 2, "clicks": 1, "purchases": 1, "pageviews": 1}


def browse(site: str) -> None:
    shopper = build_opener(HTTPCookieProcessor())
    shopper.addheaders = [("User-Agent", "Mozilla/5.0 Firefox/140.0")]  # its own says: no person
    page = shopper.open(f"{site}/").read().decode()
    link = re.findall(r'href="([^"]+)"', page)[0]
    assert shopper.open(f"{site}{link}").read() == b"This is p-1."
    assert shopper.open(f"{site}/checkout").status == 200


def wait_for_kinds(api: str) -> dict[str, int]:
    """Return how many events of each kind the stand-in took, once there are five or time is up."""
    deadline = time.monotonic() + 20
    while True:
        totals = json.load(urlopen(f"{api}/events.json"))["totals"]
        if sum(totals.values()) >= 5 or time.monotonic() > deadline:
            return dict(totals)
        time.sleep(0.1)
