"""The rules that CONTRIBUTING.md gives to a module, checked where no linter knows them."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import django_topsort

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "django_topsort"
BANNED = {
    "common",
    "core",
    "handler",
    "helpers",
    "manager",
    "misc",
    "processor",
    "service",
    "utils",
}
MOST_LINES_OF_A_MODULE = 299
MOST_LINES_OF_A_FUNCTION = 49

MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
EXAMPLE = sorted((ROOT / "example_project").rglob("*.py"))
DOCS = sorted((ROOT / "docs").rglob("*.py"))


def name_path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_module = pytest.mark.parametrize("path", MODULES, ids=name_path)
each_module_and_benchmark = pytest.mark.parametrize(
    "path", [*MODULES, *BENCHMARKS, *DOCS], ids=name_path
)
each_file = pytest.mark.parametrize(
    "path", [*MODULES, *BENCHMARKS, *TESTS, *EXAMPLE, *DOCS], ids=name_path
)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def get_functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(parse(path))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def get_public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield the public functions, classes and methods, but for tests: their names say it all."""
    for node in body:
        if not isinstance(node, Definition):
            continue
        if node.name.startswith(("_", "test_")) or node.name in {"Meta", "Migration"}:
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from get_public(node.body, f"{prefix}{node.name}.")


@each_module_and_benchmark
def test_module_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= MOST_LINES_OF_A_MODULE, f"{name_path(path)} has {lines} lines; split it"


@each_module_and_benchmark
def test_functions_are_short(path: Path) -> None:
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in get_functions(path)}

    assert {name: n for name, n in lengths.items() if n > MOST_LINES_OF_A_FUNCTION} == {}


@each_file
def test_names_say_what_is_inside(path: Path) -> None:
    words = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}

    assert words & BANNED == set()


@each_file
def test_annotations_are_not_evaluated(path: Path) -> None:
    body = [node for node in parse(path).body if not isinstance(node, ast.Expr)]

    assert not body or ast.unparse(body[0]) == "from __future__ import annotations"


@each_module
def test_package_does_not_print(path: Path) -> None:
    calls = [node.func for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]

    assert [call for call in calls if isinstance(call, ast.Name) and call.id == "print"] == []


@each_module
def test_public_names_have_a_docstring(path: Path) -> None:
    module = parse(path)
    silent = [
        name for name, node in dict(get_public(module.body)).items() if not ast.get_docstring(node)
    ]

    assert [name for name in silent if not overrides(path, name)] == []
    assert not module.body or ast.get_docstring(module) or "migrations" in path.parts


def overrides(path: Path, name: str) -> bool:
    """Whether a method has its docstring where it was first defined."""
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    owner, _, method = name.rpartition(".")
    parents = getattr(getattr(import_module(dotted), owner, None), "__mro__", ())[1:]
    return any(method in vars(parent) for parent in parents)


@each_module
def test_loggers_have_the_name_of_their_module(path: Path) -> None:
    calls = re.findall(r"getLogger\((.*?)\)", path.read_text(encoding="utf-8"))

    assert [call for call in calls if call != "__name__"] == []


def test_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    headings = re.findall(r"^## (\S+)", changelog, re.MULTILINE)

    assert headings[0] == django_topsort.__version__


def test_pins_cover_what_the_groups_ask_for() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *pyproject["project"]["dependencies"],
        *pyproject["project"]["optional-dependencies"]["testing"],
        *(entry for group in pyproject["dependency-groups"].values() for entry in group),
    ]
    pins = "".join(
        (ROOT / "requirements" / name).read_text(encoding="utf-8")
        for name in ("dev.txt", "django.txt", "tools.txt")
    )
    pinned = set(re.findall(r"^([\w.-]+)==", pins, re.MULTILINE))

    for group in ("dev.txt", "tools.txt"):
        lines = (ROOT / "requirements" / group).read_text(encoding="utf-8").splitlines()
        assert [line for line in lines[1:] if "==" not in line] == []
    names = {
        re.split(r"[<>=~!;\[ ]", entry)[0].lower() for entry in asked if isinstance(entry, str)
    }

    assert names - pinned == set()


def test_classifiers_and_matrix_name_the_same_pythons() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    classifiers = pyproject["project"]["classifiers"]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"^ +python: (\[.*\])$", workflow, re.MULTILINE)

    pythons = [c.rpartition(" ")[2] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)]

    assert ast.literal_eval(matrix) == pythons


def test_setup_cfg_holds_only_options_of_setuptools_commands() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")

    assert parser.sections() == ["sdist"]
