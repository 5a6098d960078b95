"""The backend of docs/howto/own-backend.md, taken through its own tests as they stand there."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from django_topsort.testing import BackendContract
from tests.readme import get_blocks

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/howto/own-backend.md"
BLOCKS = {block.title: block.text for block in get_blocks(PAGE.read_text(encoding="utf-8"))}


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch) -> Iterator[BackendContract]:
    modules = {}
    for title in ("shop/backends.py", "shop/tests.py"):
        name = title.removesuffix(".py").replace("/", ".")
        modules[name] = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, modules[name])
        exec(compile(BLOCKS[title], title, "exec"), vars(modules[name]))
    yield modules["shop.tests"].TestEventBackend()
    logging.getLogger("shop.events").handlers = []


@pytest.mark.parametrize(
    "test", [name for name in dir(BackendContract) if name.startswith("test_")]
)
def test_backend_of_the_guide_keeps_the_contract(contract: BackendContract, test: str) -> None:
    getattr(contract, test)()


def test_settings_of_the_guide_name_its_backend() -> None:
    assert re.search(r'"pageviews": "shop\.backends\.EventBackend"', BLOCKS["mysite/settings.py"])
