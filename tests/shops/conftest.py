"""Shops from the package index: each is a project of its own, run by ``make test-shops``."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
ACTIVE = os.environ.get("DJANGO_SETTINGS_MODULE", "")
SHOPS = [path.parent.name for path in HERE.glob("*/__init__.py")]

# Django has one set of settings in a process, so a run has the tests of one shop.
collect_ignore = [name for name in SHOPS if f"tests.shops.{name}.settings" != ACTIVE]
