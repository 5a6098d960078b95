"""The how-to guides as the files of a project: what the tests run is what readers copy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.test.client import Client
from django.urls import include, path

from tests.readme import ROOT, Block, get_blocks

GUIDES = {
    page.stem: page.read_text(encoding="utf-8")
    for page in sorted(ROOT.glob("docs/howto/*.md"))
    if page.stem != "index"
}
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
PACKAGES = ("shop", "mysite")
# What the guides take from the project around them.
GIVEN = {"shop/models.py": "from tests.shop.models import Product as Product\n"}


def get_guide(name: str) -> list[Block]:
    """Return the blocks of code of a guide."""
    return get_blocks(GUIDES[name])


def get_keys(name: str) -> list[str]:
    """Return what the blocks of a guide are called here: by their title, or else the language."""
    return [block.title or block.language for block in get_guide(name)]


def get_text(name: str, key: str) -> str:
    """Return the one block of a guide with this key."""
    (text,) = (block.text for block in get_guide(name) if key in (block.title, block.language))
    return text


def read_settings(name: str, key: str = "mysite/settings.py", **given: Any) -> dict[str, Any]:
    """Return the settings that a block of a guide makes of the tests' own, or of those given."""
    values: dict[str, Any] = {
        "INSTALLED_APPS": list(settings.INSTALLED_APPS),
        "MIDDLEWARE": list(settings.MIDDLEWARE),
        **given,
    }
    exec(compile(get_text(name, key), key, "exec"), values)
    return {key: value for key, value in values.items() if key.isupper()}


class Project:
    """The files of a guide's ``shop`` and ``mysite``, importable for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in PACKAGES:
            (folder / package).mkdir()
            (folder / package / "__init__.py").touch()
        for name, text in GIVEN.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def follow(self, name: str) -> None:
        """Write the blocks of a guide whose title is a path in the shop."""
        for block in get_guide(name):
            if block.title.startswith("shop/"):
                self.write(block.title, block.text)

    @contextmanager
    def use(self, *urls: Any, **values: Any) -> Iterator[None]:
        """Use its templates, these paths and the package's, and other settings, for a block."""
        (engine,) = settings.TEMPLATES
        values["TEMPLATES"] = [{**engine, "DIRS": [self.folder / "shop" / "templates"]}]
        if urls:
            values["ROOT_URLCONF"] = (*urls, path("topsort/", include("django_topsort.urls")))
        with override_settings(STATIC_URL="/static/", **values):
            yield

    def shopper(self) -> Client:
        """Return somebody with a browser."""
        return Client(headers=BROWSER)


def forget_modules() -> None:
    """Forget what was imported of a project: the next test has another."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]


@contextmanager
def make_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Make a project that can be imported until the block ends."""
    monkeypatch.syspath_prepend(folder)
    yield Project(folder)
    forget_modules()
