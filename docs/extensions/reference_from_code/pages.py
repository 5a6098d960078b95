"""What a page's text becomes: its parts from the code filled in, its links made the site's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from docs.extensions.reference_from_code.checks import write_checks
from docs.extensions.reference_from_code.commands import write_commands
from docs.extensions.reference_from_code.events import write_events
from docs.extensions.reference_from_code.links import README_PAGE, rewrite_links
from docs.extensions.reference_from_code.metrics import write_metrics
from docs.extensions.reference_from_code.order_names import write_order_names
from docs.extensions.reference_from_code.python_api import write_python_api
from docs.extensions.reference_from_code.settings import write_settings
from docs.extensions.reference_from_code.signals import write_signals
from docs.extensions.reference_from_code.tags import write_tags
from docs.extensions.reference_from_code.toctrees import leave_out_globs

ROOT = Path(__file__).resolve().parent.parent.parent.parent
MARK = re.compile(r"^<!-- from the code: (\w+) -->$", re.MULTILINE)
BLOCK = re.compile(
    r"^(?P<fence>(?P<indent> *)```+)(?P<language>[\w+-]+)(?: title=\"(?P<title>[^\"\n]+)\")?\n"
    r"(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


def write_readme() -> str:
    """Return the README, with its links as they lead on from its page in the site."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return rewrite_links(text, PurePosixPath("README.md"), README_PAGE)


WRITERS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "checks": write_checks,
        "commands": write_commands,
        "events": write_events,
        "metrics": write_metrics,
        "order_names": write_order_names,
        "python_api": write_python_api,
        "readme": write_readme,
        "settings": write_settings,
        "signals": write_signals,
        "tags": write_tags,
    }
)


def mark_blocks(text: str) -> str:
    """Return ``text`` with its blocks of code as Sphinx shows them best.

    HTML that has tags in it is marked as a template, and a title stands above its block. Where the
    pages are read as files, they have neither.
    """

    def mark(block: re.Match[str]) -> str:
        fence, language, title = block["fence"], block["language"], block["title"]
        if language == "html":
            is_jinja2, is_django = "<%" in block["text"], "{%" in block["text"]
            language = "text" if is_jinja2 else "html+django" if is_django else "html"
        if not title:
            return f"{fence}{language}\n{block['text']}{fence}"
        indent = block["indent"]
        caption = f"{indent}:caption: {title}\n\n"
        return f"{fence}{{code-block}} {language}\n{caption}{block['text']}{fence}"

    return BLOCK.sub(mark, text)


def build_page(name: str, text: str) -> str:
    """Return what Sphinx reads for the page ``name`` (``"howto/htmx"``), whose file holds ``text``.

    Raises KeyError for a mark that names no writer, and ValueError for a link that leads nowhere.
    """
    page = PurePosixPath("docs", f"{name}.md")
    filled = MARK.sub(lambda mark: WRITERS[mark[1]](), leave_out_globs(name, text))
    return mark_blocks(rewrite_links(filled, page, page))
