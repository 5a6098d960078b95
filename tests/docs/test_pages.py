"""The documentation is right: each page is reachable, and each block, link and name in it holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePosixPath

import pytest
import yaml
from django.core.management import get_commands

from django_topsort.jinja2 import TopsortExtension
from docs.extensions.reference_from_code.links import get_repository, rewrite_links
from docs.extensions.reference_from_code.pages import WRITERS, build_page, mark_blocks
from docs.extensions.reference_from_code.tags import LIBRARIES, get_tags
from docs.extensions.reference_from_code.toctrees import (
    get_pages,
    leave_out_globs,
    read_toctrees,
)
from tests.docs.blocks import CHECKS, TARGETS, CodeBlock, find_blocks

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in get_pages()}
ALL_TEXTS = TEXTS | {
    name: (ROOT / f"{name}.md").read_text(encoding="utf-8") for name in ("README", "CONTRIBUTING")
}
# Those of CONTRIBUTING are about files that are not there yet: tests/test_tour.py makes them.
BLOCKS = [
    block
    for page, text in ALL_TEXTS.items()
    if page != "CONTRIBUTING"
    for block in find_blocks(page, text)
]
TAGS = {tag for library in LIBRARIES for tag in get_tags(library)}

each_page = pytest.mark.parametrize("page", ALL_TEXTS)


def name_block(block: CodeBlock) -> str:
    return f"{block.page}:{block.line}"


def test_each_page_is_reachable_from_the_first_by_tables_of_contents() -> None:
    found, new = set(), {"index"}
    while new:
        found |= new
        new = {name for page in new for name in read_toctrees(page, TEXTS[page])} - found

    assert found == set(TEXTS)


def test_no_page_stands_in_two_tables_of_contents() -> None:
    listed = [name for page, text in TEXTS.items() for name in read_toctrees(page, text)]

    assert sorted(listed) == sorted(set(listed))


@each_page
def test_page_has_one_title(page: str) -> None:
    text = re.sub(r"^( *)(```+).*?^\1\2$", "", ALL_TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^# .+$", text, re.MULTILINE)

    assert len(titles) == (0 if page == "start/readme" else 1)


@pytest.mark.parametrize("page", TEXTS)
def test_page_is_built_with_its_links_and_its_parts_of_the_code(page: str) -> None:
    built = build_page(page, TEXTS[page])

    assert "<!-- from the code" not in built
    assert "](../README.md" not in built


@pytest.mark.parametrize("name", ["README", "CONTRIBUTING"])
def test_links_of_other_files_lead_somewhere(name: str) -> None:
    source = PurePosixPath(f"{name}.md")

    assert rewrite_links(ALL_TEXTS[name], source, PurePosixPath("docs/index.md"))


def test_each_writer_has_a_page() -> None:
    marks = re.findall(r"<!-- from the code: (\w+) -->", "\n".join(TEXTS.values()))

    assert sorted(marks) == sorted(WRITERS)


@pytest.mark.parametrize("block", BLOCKS, ids=name_block)
def test_block_is_right(block: CodeBlock) -> None:
    assert block.language in CHECKS, "say its language, and in tests/docs/blocks.py what is right"
    CHECKS[block.language](block.text)


@each_page
def test_names_on_a_page_exist(page: str) -> None:
    text = ALL_TEXTS[page]

    assert set(re.findall(r"{% (topsort_\w+)", text)) <= TAGS
    assert set(re.findall(r"<% (topsort_\w+)", text)) <= TopsortExtension.tags
    assert set(re.findall(r"manage\.py (topsort_\w+)", text)) <= set(get_commands())
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS


@each_page
def test_tests_that_a_page_names_exist(page: str) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", ALL_TEXTS[page]):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not name or name in functions, f"there is no {path}::{name}"


def test_links_within_the_site_stay_there_and_others_lead_to_the_repository() -> None:
    page = PurePosixPath("docs/howto/index.md")
    text = "[a](../browser.md#caching) [b](../../README.md#orders) [c](../../tests/urls.py) [d](#e)"

    assert rewrite_links(text, page, page) == (
        "[a](../browser.md#caching) [b](../start/readme.md#orders)"
        f" [c]({get_repository()}/blob/main/tests/urls.py) [d](#e)"
    )


def test_link_that_leads_nowhere_is_named() -> None:
    page = PurePosixPath("docs/index.md")

    with pytest.raises(ValueError, match=r"docs/index\.md links to gone\.md.*correct the link"):
        rewrite_links("see [this](gone.md)", page, page)


def test_links_in_code_are_left_alone() -> None:
    page = PurePosixPath("docs/index.md")
    text = "```text\n[this](gone.md)\n```"

    assert rewrite_links(text, page, page) == text


def test_templates_are_marked_as_what_they_are() -> None:
    text = "```html\n{% load topsort %}\n```\n```html\n<% x %>\n```\n```html\n<p>\n```"

    assert re.findall("```(.+)", mark_blocks(text)) == ["html+django", "text", "html"]


def test_title_stands_above_its_block() -> None:
    text = '1. Do:\n\n   ```python title="a.py"\n   x\n   ```\n'

    assert mark_blocks(text) == (
        "1. Do:\n\n   ```{code-block} python\n   :caption: a.py\n\n   x\n   ```\n"
    )


def test_pattern_that_matches_no_page_is_left_out() -> None:
    text = "```{toctree}\n:glob:\n\nnothing-is-called-so*\nreference/*\n```"

    assert leave_out_globs("index", text) == "```{toctree}\n:glob:\n\nreference/*\n```"
    assert "reference/settings" in read_toctrees("index", text)


def test_title_of_its_own_does_not_hide_a_page() -> None:
    assert read_toctrees("index", "```{toctree}\nAll <start/readme>\n```") == ["start/readme"]


def test_pins_of_the_documentation_are_those_of_the_tools() -> None:
    pins = {
        name: dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
        for name in ("docs", "dev")
        if (text := (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8"))
    }
    shared = pins["docs"].keys() & pins["dev"].keys()

    assert {"sphinx", "furo", "myst-parser"} <= pins["docs"].keys() - pins["dev"].keys()
    assert {name: pins["docs"][name] for name in shared} == {
        name: pins["dev"][name] for name in shared
    }


def test_read_the_docs_builds_what_make_docs_builds() -> None:
    config = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text(encoding="utf-8"))
    files = [one["requirements"] for one in config["python"]["install"] if "requirements" in one]

    assert {"requirements/dev.txt", "requirements/docs.txt"} <= set(files)
    assert [
        path for path in [*files, config["sphinx"]["configuration"]] if not (ROOT / path).is_file()
    ] == []
    assert config["sphinx"]["fail_on_warning"] is True
