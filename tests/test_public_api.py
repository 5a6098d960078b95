"""The policies are those of the code: what is public, and on which versions it runs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest
from django.dispatch import Signal

from django_topsort import events, exceptions, orders, signals, tracking
from tests.public_api import ELSEWHERE, POLICIES, get_public_names
from tests.scripts import ROOT
from tests.test_readme import PYTHON_BLOCKS, get_names
from tests.test_workflows import get_cells

PUBLIC = {f"{module}.{name}" for module, names in get_public_names().items() for name in names}


def test_public_api_is_as_it_was() -> None:
    command = [sys.executable, "-m", "tests.public_api"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    # Whoever changes it says so: python -m tests.public_api > tests/public_api.txt, a line in the
    # changelog, and, where a line is gone or altered, what docs/policies.md says of deprecations.
    assert done.stdout == (ROOT / "tests" / "public_api.txt").read_text(encoding="utf-8")


def test_public_names_exist() -> None:
    missing = [
        f"{module}.{name}"
        for module, names in get_public_names().items()
        if not module.startswith(ELSEWHERE)
        for name in names
        if not hasattr(import_module(module), name)
    ]

    assert missing == []


@pytest.mark.parametrize("module", [tracking, orders, exceptions])
def test_module_that_is_public_as_a_whole_is_named_as_a_whole(module: ModuleType) -> None:
    things = {
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    }
    ours = {name for name in things if not name.startswith("_")} - {"describe"}

    assert set(get_public_names()[module.__name__]) == ours


def test_each_signal_is_public() -> None:
    found = sorted(name for name, value in vars(signals).items() if isinstance(value, Signal))

    assert get_public_names()["django_topsort.signals"] == found


def test_events_and_their_parts_are_public() -> None:
    # The bases are not: an event of one's own is none that Topsort knows.
    bases = {"BaseEvent", "Interaction", "Part"}
    structs = {n for n, v in vars(events).items() if hasattr(v, "__struct_fields__")} - bases

    assert {name for name in structs if name[0].isupper()} == set(
        get_public_names()["django_topsort.events"]
    )


def test_testing_exports_what_is_public() -> None:
    testing = import_module("django_topsort.testing")

    assert sorted(get_public_names()["django_topsort.testing"]) == testing.__all__


def test_what_the_documentation_imports_is_public() -> None:
    imports = {
        f"{node.module}.{alias.name}"
        for block in PYTHON_BLOCKS
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("django_topsort")
        for alias in node.names
    }

    assert imports - PUBLIC == set()


def test_each_class_and_function_that_the_documentation_names_is_public() -> None:
    modules = set(get_public_names())
    apps = {f"django_topsort.contrib{app}" for app in ("", ".oscar", ".salesman")}
    apps |= {"django_topsort.outbox", "django_topsort.urls", "django_topsort.shoppers"}

    assert set(get_names()) - PUBLIC - modules - apps == set()


def test_versions_are_those_of_the_matrix() -> None:
    rows = re.findall(r"^\| (3\.\d+) \| ([\d., ]+) \| \w+ 20\d\d \|$", POLICIES, re.MULTILINE)
    pairs = {(python, django) for python, djangos in rows for django in djangos.split(", ")}
    djangos = re.findall(r"^\| ([56]\.\d) \| \w+ 20\d\d \|$", POLICIES, re.MULTILINE)

    assert pairs == {(python, django) for python, django, _ in get_cells()}
    assert set(djangos) == {django for _, django in pairs}
