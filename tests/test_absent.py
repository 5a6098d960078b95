"""A project without one of the libraries that it need not have, or without all of them.

What of ours needs it says which package to install; all else works. ``tests/absent.py`` has the
table; ``tests/packaging`` looks at the same in an environment that really lacks them.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator

import pytest

from tests.absent import LIBRARIES, SCRIPT
from tests.scripts import ROOT, run_script

PACKAGE = ROOT / "django_topsort"
# What each installation has, by the name that is imported.
REQUIRED = {"asgiref", "crawleruseragents", "django", "msgspec", "requests", "rest_framework"}
REQUIRED |= {"urllib3"}  # which is how requests posts

# What is loaded by the library itself, or by an app of ours whose ready() has asked for it.
ASKED_BEFORE = {
    ("contrib/oscar/receivers.py", "oscar"),
    ("contrib/oscar/receivers.py", "oscarapi"),
    ("contrib/salesman/receivers.py", "salesman"),
    ("contrib/salesman/validators.py", "salesman"),
    ("contrib/debug_toolbar/panels.py", "debug_toolbar"),
    ("engines/celery.py", "celery"),
    ("engines/merging.py", "celery"),
    ("outbox/tasks.py", "celery"),
    ("testing/pytest_plugin.py", "pytest"),
}


def run_without(absent: list[str], codes: list[str]) -> list[str]:
    """Visit a shop that lacks some libraries; return what each line of code says there."""
    done = run_script(SCRIPT, json.dumps(absent), json.dumps(codes), measured=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("absent", [[name] for name in LIBRARIES] + [[*LIBRARIES]], ids=" ".join)
def test_what_needs_it_says_what_to_install_and_all_else_works(absent: list[str]) -> None:
    uses = [use for name in absent for use in LIBRARIES[name]]

    said = run_without(absent, [use.code for use in uses])

    assert [(use.said in text, text) for use, text in zip(uses, said, strict=True)] == [
        (True, text) for text in said
    ]


def walk(node: ast.AST, guards: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each library that is imported, and the guards around it, outermost first."""
    if isinstance(node, ast.Import):
        yield from ((alias.name.partition(".")[0], guards) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield (node.module or "").partition(".")[0], guards
    if isinstance(node, ast.With):
        guards += tuple(ast.unparse(item.context_expr) for item in node.items)
    elif isinstance(node, ast.If):
        guards += (ast.unparse(node.test),)
    elif isinstance(node, ast.Try):
        guards += tuple(f"except {ast.unparse(h.type)}" for h in node.handlers if h.type)
    for child in ast.iter_child_nodes(node):
        yield from walk(child, guards)


def is_guarded(library: str, guards: tuple[str, ...]) -> bool:
    harmless = {"TYPE_CHECKING", "suppress(ImportError)", "except ImportError"}
    return any(guard in harmless or guard.startswith(f"require('{library}'") for guard in guards)


def get_optional_imports() -> dict[tuple[str, str], list[tuple[str, ...]]]:
    """Return the imports of what a project may lack: by file and library, the guards of each."""
    known = {*sys.stdlib_module_names, *REQUIRED, "django_topsort"}
    found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for library, guards in walk(ast.parse(path.read_text(encoding="utf-8"))):
            if library not in known and "TYPE_CHECKING" not in guards:
                key = (path.relative_to(PACKAGE).as_posix(), library)
                found.setdefault(key, []).append(guards)
    return found


def test_each_import_of_what_may_be_absent_says_what_to_install() -> None:
    silent = {
        key
        for key, imports in get_optional_imports().items()
        if key not in ASKED_BEFORE and not all(is_guarded(key[1], guards) for guards in imports)
    }

    assert silent == set(), "import it within django_topsort.loading.require()"


def test_each_library_that_may_be_absent_is_in_the_table() -> None:
    libraries = {library for _, library in get_optional_imports()}

    assert libraries - set(LIBRARIES) <= {"oscarapi"}, "say in tests/absent.py what needs it"


@pytest.mark.parametrize(
    ("code", "guarded"),
    [
        ("import jinja2", False),
        ("with require('jinja2', needed_by='x'):\n    from jinja2.ext import Extension", True),
        ("with require('jinja', needed_by='x'):\n    import jinja2", False),
        ("try:\n    import jinja2\nexcept ImportError:\n    pass", True),
        ("try:\n    import jinja2\nexcept OSError:\n    pass", False),
        ("def use():\n    import jinja2", False),
    ],
)
def test_guard_is_seen(code: str, guarded: bool) -> None:
    found = dict(walk(ast.parse(code)))

    assert is_guarded("jinja2", found["jinja2"]) is guarded
