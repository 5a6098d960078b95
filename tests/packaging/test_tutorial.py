"""docs/tutorial.md is followed to the letter: in an empty folder, with the wheel of this tree."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import django
import pytest

import django_topsort
from tests.packaging.browsing import HttpShopper
from tests.packaging.tutorial import Part, Reader, get_page, is_like, matches, read_parts
from tests.readme import ROOT

pytestmark = pytest.mark.packaging


def write_constraints(folder: Path) -> Path:
    """Write what pip is held to: the pins of this tree."""
    pins = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    own = f"django-topsort=={django_topsort.__version__}\ndjango=={django.__version__}\n"
    path = folder / "constraints.txt"
    path.write_text(own + pins, encoding="utf-8")
    return path


def is_installed(wheel: Path, packages: Path) -> bool:
    """Whether the modules in ``packages`` are those of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("django_topsort/")]
        return all((packages / name).read_bytes() == archive.read(name) for name in names)


def write_python(folder: Path) -> str:
    """Make a ``python`` of the interpreter that runs the tests; return the ``PATH`` with it."""
    programs = folder / "programs"
    programs.mkdir()
    script = programs / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return f"{programs}:/usr/bin:/bin"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A reader with an empty folder, for what is no page of ours."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return Reader(folder, HttpShopper(), "/usr/bin:/bin")


def test_tutorial_works_to_the_letter(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    reader = Reader(
        folder,
        HttpShopper(),
        write_python(tmp_path),
        # Not the index: there may be another release of it by now.
        PIP_FIND_LINKS=f"{wheel.parent} {os.environ.get('PIP_FIND_LINKS', '')}",
        PIP_CONSTRAINT=str(write_constraints(tmp_path)),
        PIP_NO_INPUT="1",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )

    reader.follow(get_page())

    (packages,) = folder.glob(".venv/lib/python*/site-packages")
    assert is_installed(wheel, packages), "another release was installed"
    assert {"do", "console", "text", "json", "python", "html"} <= set(reader.done)


@pytest.mark.parametrize(
    "page",
    [
        "Look:\n\n```html\n<p>\n```",
        "Look:\n\n```ruby\nputs\n```",
        "It says:\n\n```text\nnothing was run\n```",
        "1. Think.",
        '```python title="new.py"\n```',
        'Write `other.py`:\n\n```python title="new.py"\n```',
        'Replace `new.py`:\n\n```python title="new.py"\n```',
        'At the end of `new.py`:\n\n```python title="new.py"\n```',
        "Run:\n\n```console\nfalse\n```",
        "Run:\n\n```console\necho one\n```\n\nIt says:\n\n```text\ntwo\n```",
        "Run:\n\n```console\necho one\n```\n\n1. Think.\n",
        "Run:\n\n```console {.wide}\necho one\n```",
    ],
    ids=lambda page: page[:40],
)
def test_page_that_is_wrong_is_not_followed(reader: Reader, page: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        reader.follow(page)


def test_page_that_is_right_is_followed(reader: Reader) -> None:
    reader.follow(
        'Write `a/new.txt`:\n\n```text title="a/new.txt"\none\n```\n\n'
        'At the end of `a/new.txt`:\n\n```text title="a/new.txt"\ntwo 8000\n```\n\n'
        "Run:\n\n```console\nexport NAME=three\ncat a/new.txt; echo $NAME\n```\n\n"
        "It says:\n\n```text\none\ntwo ...\nthree\n```\n\n"
        "In a second terminal:\n\n```console\necho [$NAME]\n```\n\nIt says:\n\n```text\n[]\n```\n"
    )

    assert reader.done == ["text", "text", "console", "text", "console", "text"]
    assert (reader.folder / "a/new.txt").read_text("utf-8") == f"one\ntwo {reader.ports['8000']}\n"


def test_parts_are_told_apart() -> None:
    page = "# Title\n\nOne\ntwo:\n\n```text\n\n1. no\n```\n\n```json\n{}\n```\n\n1. Do it.\n"

    assert list(read_parts(page)) == [
        Part("prose", "# Title"),
        Part("prose", "One two:"),
        Part("text", "\n1. no\n", "", "One two:"),
        Part("json", "{}\n"),
        Part("do", "Do it."),
    ]


def test_dots_stand_for_what_differs() -> None:
    assert matches("a\n...\nd", "a\nb\nc\nd\n")
    assert not matches("a\n...\nd", "a\nb\n")
    assert is_like({"id": "...", "items": [1]}, {"id": "7", "items": [1]})
    assert not is_like({"id": "..."}, {"id": ""})
    assert not is_like({"id": "..."}, {"id": "7", "more": 1})
    assert not is_like([1], [1, 2])
