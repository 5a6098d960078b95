"""The recipes of docs/shops.md, as the modules that their titles name.

What the tests run is the very text that readers copy.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

from tests.readme import PAGES, Block, get_blocks


def get_recipes() -> list[Block]:
    """Return the blocks below "Other shops" that have a title."""
    page = PAGES["shops.md"]
    section = page[page.index("\n## Other shops") :]
    return [block for block in get_blocks(section) if block.title]


def install_package(name: str) -> Path:
    """Write the recipes of the package ``name`` into a folder from which it can be imported."""
    folder = Path(tempfile.mkdtemp(prefix="recipes-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    for block in get_recipes():
        if block.title.startswith(f"{name}/") and block.language == "python":
            (folder / block.title).write_text(block.text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    return package
