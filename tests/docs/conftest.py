from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.guides import Project, make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with nothing in it yet but products."""
    with make_project(tmp_path, monkeypatch) as project:
        yield project
