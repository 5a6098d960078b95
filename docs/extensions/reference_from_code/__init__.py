"""A Sphinx extension: pages of the reference are written from the code when the site is built.

A page says ``<!-- from the code: settings -->`` where its part of the reference goes; the names are
those of ``pages.WRITERS``. Only this module knows Sphinx. All others need Django alone and return
Markdown, so that the default suite tests them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docs.extensions.reference_from_code.pages import build_page

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def write_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill in what a page takes from the code; ``source`` holds its text, and is replaced."""
    from sphinx.util import logging

    try:
        source[0] = build_page(docname, source[0])
    except ValueError as error:
        # A warning, so that a build says all that is wrong at once.
        logging.getLogger(__name__).warning("%s", error, location=docname)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension, as Sphinx asks for it."""
    app.connect("source-read", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
