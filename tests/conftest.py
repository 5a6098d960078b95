"""What every test starts with, so that none depends on another's order."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
from django.core.cache import cache

from django_topsort.backends import locmem

# A machine that measures coverage on all its cores is slow at times; that is no finding.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _clean_memory() -> Iterator[None]:
    """Leave no event and no cached value to the next test."""
    yield
    locmem.outbox.clear()
    cache.clear()
