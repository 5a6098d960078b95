"""The pictures of the documentation: each is there, is shown somewhere, and is small."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IMAGES = sorted((ROOT / "docs" / "images").iterdir())
WIDTHS = range(1200, 1281)  # pixels
MOST_BYTES = 150_000


def find_shown() -> Iterator[tuple[str, str, Path]]:
    """Yield the page, the words and the file of each picture that a page shows."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        for words, name in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text):
            yield page.name, words, (page.parent / name).resolve()


def test_each_picture_that_a_page_shows_is_there_and_said_in_words() -> None:
    shown = list(find_shown())

    assert shown
    for page, words, path in shown:
        assert path in IMAGES, f"{page} shows {path.name}, which is not in docs/images"
        assert words, f"{page} does not say what is to be seen in {path.name}"


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: str(path.name))
def test_picture_is_shown_and_small(path: Path) -> None:
    data = path.read_bytes()

    assert path in {found for _, _, found in find_shown()}
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">I", data[16:20])[0] in WIDTHS
    assert len(data) < MOST_BYTES
