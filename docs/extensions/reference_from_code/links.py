"""Links that lead on in the site as they do in the repository.

A page links to another file as it lies beside it, so that the link works where the pages are read
as files. In the site, what is no page of it is shown by the repository.
"""

from __future__ import annotations

import os
import re
import tomllib
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent.parent.parent
README_PAGE = PurePosixPath("docs/start/readme.md")
LINK = re.compile(r"(?<=\]\()(?![a-z][a-z0-9+.-]*:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r" *(`{3,})")


@cache
def get_repository() -> str:
    """Return the address of the repository, as ``pyproject.toml`` names it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address: str = project["urls"]["Homepage"]
    return address


def rewrite_links(text: str, source: PurePosixPath, page: PurePosixPath) -> str:
    """Return ``text`` of the file ``source`` with its links as they lead on from ``page``.

    Both are paths from the repository's root. Code is left alone. Raises ValueError for a link to
    a file that does not exist.
    """
    lines = []
    fence = ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if found and not fence:
            fence = found[1]
        elif found and line.strip() == fence:
            fence = ""
        elif not fence:
            line = LINK.sub(lambda link: _lead_on(link, source, page), line)  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines)


def _lead_on(link: re.Match[str], source: PurePosixPath, page: PurePosixPath) -> str:
    target, fragment = link[1], link[2] or ""
    path = PurePosixPath(os.path.normpath(source.parent / target))
    if not (ROOT / path).exists():
        message = f"{source} links to {target}, and there is no {path}; correct the link"
        raise ValueError(message)
    if path == PurePosixPath("README.md"):
        path = README_PAGE
    elif path.parts[0] != "docs" or (ROOT / path).is_dir():
        return f"{get_repository()}/blob/main/{path}{fragment}"
    return PurePosixPath(os.path.relpath(path, page.parent)).as_posix() + fragment
