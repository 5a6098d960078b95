"""The tour of CONTRIBUTING.md, walked: what it names is there, and what it says to write works."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import Block, get_blocks
from tests.scripts import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TOUR = PAGE[PAGE.index("## A tour") : PAGE.index("## What a change must keep")]
COPIED = ("django_topsort", "tests", "docs", "pyproject.toml", "README.md")
LEFT_OUT = shutil.ignore_patterns("browsers", "faults", "servers", "shops", "soak")
# What a field makes of itself, without another line of code: for a function and a tag, in a body,
# at the API's stand-in, from a browser, and in the description of the browser's door.
USE = """
import json
import django
django.setup()
import requests
from django.template import engines
from django_topsort.backends.locmem import outbox
from django_topsort.browser.intake import take_events
from django_topsort.rest_framework.schema import build_body_schema
from django_topsort.testing import FakeApi
from django_topsort.tracking import track_impression
from django_topsort.wire import build_request, encode_request
from tests.browser import sending

request = sending.build_request()
body = encode_request(build_request([track_impression(request, "p-1", store_id="said")]))
with FakeApi() as api:
    headers = {"Authorization": "Bearer TSE_tests", "Content-Type": "application/json"}
    answer = requests.post(f"{api.url}/v2/events", body, headers=headers)
tag = "{% load topsort %}{% topsort_attrs 'p-1' store_id='printed' %}"
outbox.clear()
take_events(request, sending.encode(impressions=[sending.build_impression(storeId="browsed")]))
schema = build_body_schema()["properties"]["impressions"]["items"]["properties"]
print(json.dumps({
    "body": json.loads(body)["impressions"][0]["storeId"],
    "answer": answer.status_code,
    "tag": "printed" in engines["django"].from_string(tag).render({}, request),
    "browser": [event.store_id for event in outbox],
    "description": schema["storeId"]["type"],
}))
"""


class Contributor:
    """Follows the tour in a copy of this tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
            else:
                shutil.copy(ROOT / name, folder / name)

    def write(self, block: Block) -> None:
        (self.folder / block.title).write_text(block.text, encoding="utf-8")

    def apply(self, block: Block) -> int:
        """Write the block's new lines below those that are there; return at how many places."""
        lines = block.text.splitlines(keepends=True)
        there = "".join(line[1:] for line in lines if line.startswith(" "))
        path = self.folder / block.title
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(there, "".join(line[1:] for line in lines)), encoding="utf-8")
        return text.count(there)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**env, "PYTHONPATH": str(self.folder), "DJANGO_SETTINGS_MODULE": "tests.settings"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args)

    def lint(self, tool: str, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(Path(sys.executable).with_name(tool)), *args)


@pytest.fixture
def contributor(tmp_path: Path) -> Contributor:
    return Contributor(tmp_path)


def get_paths() -> list[str]:
    """Return what of the tour's tables is the path of a file or a folder."""
    rows = "\n".join(re.findall(r"^\|.*\|$", TOUR, re.MULTILINE))
    quoted = set(re.findall(r"`([\w./-]+)`", rows)) - {"manage.py"}
    return sorted(
        name for name in quoted if "/" in name or name.endswith((".py", ".md", ".toml", ".txt"))
    )


def test_each_path_of_the_tour_exists() -> None:
    # A file's name without a folder belongs to the folder of its row.
    folders = ["", *(path for path in get_paths() if path.endswith("/"))]

    missing = [
        path for path in get_paths() if not any((ROOT / each / path).exists() for each in folders)
    ]

    assert len(get_paths()) > 25
    assert missing == []


def test_backend_of_the_tour_passes_the_contract_and_is_known_to_the_floors(
    contributor: Contributor,
) -> None:
    module, tests = (block for block in get_blocks(TOUR) if block.language == "python")
    contributor.write(module)
    contributor.write(tests)
    name = Path(module.title).stem
    before = contributor.lint("lint-imports")
    pyproject = contributor.folder / "pyproject.toml"
    head, contract, rest = pyproject.read_text().partition(
        'containers = ["django_topsort.backends"]'
    )
    pyproject.write_text(head + contract + rest.replace(')",', f') | ({name})",', 1))

    after = contributor.lint("lint-imports")
    style = contributor.lint("ruff", "check", module.title, tests.title)
    formed = contributor.lint("ruff", "format", "--check", module.title, tests.title)
    done = contributor.test(tests.title)

    assert before.returncode != 0
    assert f"django_topsort.backends.{name}" in before.stdout
    assert after.returncode == 0, after.stdout
    assert (style.returncode, formed.returncode) == (0, 0), style.stdout + formed.stdout
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)


def test_backend_of_the_tour_is_ten_lines() -> None:
    block = next(block for block in get_blocks(TOUR) if block.language == "python")
    (backend,) = (node for node in ast.parse(block.text).body if isinstance(node, ast.ClassDef))

    written = [line for line in ast.unparse(backend).splitlines() if line and '"""' not in line]

    assert len(written) <= 10


def test_field_of_the_tour_goes_all_the_way(contributor: Contributor) -> None:
    hunks = [block for block in get_blocks(TOUR) if block.language == "diff"]
    places = [(block.title, contributor.apply(block)) for block in hunks]
    assert [title for title, count in places if not count] == []

    done = contributor.test(
        "tests/test_wire.py::test_event_with_every_field_goes_out_as_topsort_spells_it",
        "tests/testing/test_rules.py",
    )
    api = contributor.run(sys.executable, "-m", "tests.public_api")
    used = contributor.run(sys.executable, "-c", USE)

    assert done.returncode == 0, done.stdout
    assert "store_id=None" in api.stdout
    assert used.returncode == 0, used.stderr
    assert json.loads(used.stdout) == {
        "body": "said",
        "answer": 204,
        "tag": True,
        "browser": ["browsed"],
        "description": "string",
    }
