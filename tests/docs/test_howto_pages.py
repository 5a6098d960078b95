"""The how-to guides as pages: each is linked, has the same parts, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.guides import GUIDES, get_keys
from tests.readme import PAGES, README, ROOT

PARTS = ("**When you want this:**", "\n## How to see that it works\n", "\n## What goes wrong\n")
# Which test module runs the blocks of which guide: it names each of them in BLOCKS.
RUN_BY = {
    "api-first": "tests/docs/test_howto_api_first.py",
    "caching": "tests/docs/test_howto_caching.py",
    "consent": "tests/docs/test_howto_consent.py",
    "debug-toolbar": "tests/contrib/debug_toolbar/test_site.py",
    "django-tasks": "tests/engines/test_tasks_page.py",
    "own-backend": "tests/docs/test_own_backend.py",
    "celery": "tests/engines/test_celery_page.py",
    "csp": "tests/docs/test_howto_csp.py",
    "deployments": "tests/docs/test_howto_deployments.py",
    "htmx": "tests/docs/test_howto_htmx.py",
    "oscar": "tests/shops/oscar/test_howto_oscar.py",
    "outbox": "tests/docs/test_howto_outbox.py",
    "salesman": "tests/shops/salesman/test_howto_salesman.py",
    "testing": "tests/docs/test_howto_testing.py",
}

each_guide = pytest.mark.parametrize("name", GUIDES)


@each_guide
def test_guide_has_its_parts_and_is_linked(name: str) -> None:
    assert [part for part in PARTS if part not in GUIDES[name]] == []
    assert f"(docs/howto/{name}.md)" in README
    assert f"(howto/{name}.md)" in PAGES["tutorial.md"]


@each_guide
def test_each_block_of_a_guide_is_run_by_a_test(name: str) -> None:
    keys = get_keys(name)
    tests = (ROOT / RUN_BY[name]).read_text(encoding="utf-8") if keys else ""

    assert [key for key in keys if f'"{key}"' not in tests] == []
    assert GUIDES[name].count("```") == 2 * len(keys), "a block that is indented, or of no language"


def get_anchors(text: str) -> set[str]:
    titles = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "page", ["docs/tutorial.md", *(f"docs/howto/{name}.md" for name in GUIDES)]
)
def test_links_of_a_page_lead_to_a_page_and_a_section(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))

    for link in links:
        if link.startswith("https://"):
            continue
        address, _, anchor = link.partition("#")
        target = (path.parent / address).resolve()
        assert target.is_file(), link
        assert not anchor or anchor in get_anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("path", [ROOT / "docs" / "tutorial.md", *ROOT.glob("docs/howto/*.md")])
def test_lines_are_not_too_long(path: Path) -> None:
    lines = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)

    assert [line for line in lines.splitlines() if len(line) > 130 and line[0] != "|"] == []
