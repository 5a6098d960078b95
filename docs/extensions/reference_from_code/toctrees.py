"""The tables of contents that pages hold, as Sphinx reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent.parent
TOCTREE = re.compile(r"^```{toctree}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLED = re.compile(r"^.* <(.*)>$")  # a title of its own, in place of the page's


def get_pages() -> list[str]:
    """Return the names of all pages of the site, such as ``"howto/htmx"``."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(path.with_suffix("").as_posix() for path in paths)


def read_toctrees(page: str, text: str) -> list[str]:
    """Return the names of the pages that the tables of contents of ``page`` list."""
    return [
        name
        for block in TOCTREE.findall(text)
        for entry in block.splitlines()
        for name in _find_pages(page, entry)
    ]


def leave_out_globs(page: str, text: str) -> str:
    """Return ``text`` without the patterns in its tables of contents that match no page.

    Sphinx warns of them. A page that is written later, or by another project, is listed once it is
    there.
    """

    def clean(block: re.Match[str]) -> str:
        lines = block[0].split("\n")
        kept = [line for line in lines if "*" not in line or any(_find_pages(page, line))]
        return "\n".join(kept)

    return TOCTREE.sub(clean, text)


def _find_pages(page: str, entry: str) -> Iterator[str]:
    if not entry or entry.startswith(":"):
        return
    target = TITLED.sub(r"\1", entry)
    path = os.path.normpath(PurePosixPath(page).parent / target)
    for name in get_pages():
        # A star does not go down into folders.
        same_folder = PurePosixPath(name).parent == PurePosixPath(path).parent
        if same_folder and name != page and fnmatch(name, path):
            yield name
