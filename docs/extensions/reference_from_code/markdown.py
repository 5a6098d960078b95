"""The pieces of Markdown that the writers put together."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; what would end a cell or a row is written so that it does not."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_write_cell, cells)) + " |" for cells in lines)


def _write_cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def write_code(text: object) -> str:
    """Return ``text`` as code within a line, or an empty text for an empty one."""
    code = " ".join(str(text).split())
    if not code:
        return ""
    return f"`` {code} ``" if "`" in code else f"`{code}`"


def write_docstring(owner: object) -> str:
    """Return the docstring of ``owner`` as paragraphs; names in it are code in Markdown, too."""
    return inspect.getdoc(owner) or ""


def write_text(text: str) -> str:
    """Return a message as it stands: none of its characters means anything to Markdown."""
    return re.sub(r"([\\`*_\[\]<>|$#])", r"\\\1", " ".join(text.split()))


def join_sections(sections: Iterable[str]) -> str:
    """Return the sections with an empty line between two of them."""
    return "\n\n".join(section for section in sections if section) + "\n"
