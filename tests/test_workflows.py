"""What runs this project agrees: the matrix, the hooks, the workflows, the checks of a release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

import django_topsort

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATABASES = {"sqlite", "postgresql", "mariadb"}

each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def get_cells() -> set[tuple[str, str, str]]:
    """Return Python, Django and database of each cell: ("3.12", "6.0", "sqlite")."""
    cells: set[tuple[str, str, str]] = set()
    for entry in PYPROJECT["tool"]["tox"]["env_list"]:
        for python, django, database in product(*entry["product"]):
            cells.add((f"3.{python[3:]}", f"{django[6]}.{django[7:]}", database))
    return cells


def get_steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def run(
    *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# The matrix


def test_matrix_has_each_python_with_each_django_that_takes_it_on_each_database() -> None:
    classifiers = PYPROJECT["project"]["classifiers"]
    pythons = {c.split(" :: ")[-1] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)}

    cells = get_cells()

    # Django 6 asks for Python 3.12.
    djangos = {python: {"5.2"} if python == "3.11" else {"5.2", "6.0", "6.1"} for python in pythons}
    assert cells == {
        (python, django, database)
        for python in pythons
        for django in djangos[python]
        for database in DATABASES
    }


def test_workflow_runs_the_pairs_of_the_matrix() -> None:
    matrix = WORKFLOWS["ci.yml"]["jobs"]["suite"]["strategy"]["matrix"]
    pairs = set(product(matrix["python"], matrix["django"]))
    left_out = {(one["python"], one["django"]) for one in matrix["exclude"]}

    assert pairs - left_out == {(python, django) for python, django, _ in get_cells()}


def test_full_run_takes_pairs_of_the_matrix_or_a_python_that_is_newer() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (line,) = re.findall(r"^for pair in (.*); do$", script, re.MULTILINE)
    pairs = {tuple(pair.split()) for pair in re.findall(r'"([^"]+)"', line)}
    cells = {(python, django) for python, django, _ in get_cells()}
    newest = max(int(python[2:]) for python, _ in cells)

    known = {pair for pair in pairs if int(pair[0][2:]) <= newest}

    assert known <= cells
    assert {python for python, _ in known} == {python for python, _ in cells}


def test_readme_names_the_versions_of_the_matrix() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(
        r"^Python ([\d.]+) to ([\d.]+), Django ([\d.]+) to ([\d.]+)", readme, re.MULTILINE
    )
    pythons = sorted({python for python, _, _ in get_cells()})
    djangos = sorted({django for _, django, _ in get_cells()})

    assert said == (pythons[0], pythons[-1], djangos[0], djangos[-1])


def test_tests_of_the_database_exist() -> None:
    paths = (ROOT / ".ci" / "database-tests").read_text(encoding="utf-8").split()

    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.fixture
def tox(tmp_path: Path) -> Path:
    """A stand-in for tox: it has five cells, and writes down what it was asked to run."""
    path = tmp_path / "tox"
    path.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = list ]; then\n'
        "  printf '%s\\n' py311-django52-sqlite py311-django52-mariadb"
        " py311-django52-nosuch py399-django52-sqlite py398-django52-sqlite\n"
        "else\n"
        f'  echo "$@" > {tmp_path}/asked; exit ${{TOX_STATUS:-0}}\n'
        "fi\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def interpreters(tmp_path: Path) -> str:
    """A search path on which Python 3.11 is found, whichever runs this test, and pyenv is not."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in {"python3.11": "exit 0", "pyenv": "exit 1", "uv": "exit 1"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_matrix_runs_what_it_can_and_names_the_rest(tox: Path, interpreters: str) -> None:
    given = {"TOX": str(tox), "PATH": interpreters, "TEST_MARIADB_URL": "mysql://given"}

    done = run(".ci/matrix", env=given)

    assert done.returncode == 0, done.stderr
    asked = (tox.parent / "asked").read_text(encoding="utf-8").split()
    assert asked[:3] == ["run", "-e", "py311-django52-sqlite,py311-django52-mariadb"]
    assert asked[3:5] == ["--discover", f"{tox.parent}/bin/python3.11"]
    assert done.stdout.splitlines()[-4:] == [
        "not run: py311-django52-nosuch (nosuch is not known; it must be postgresql or mariadb)",
        "not run: py399-django52-sqlite (there is no Python 3.99 here)",
        "not run: py398-django52-sqlite (there is no Python 3.98 here)",
        "2 of 5 cells were run",
    ]


def test_matrix_fails_for_what_is_missing_where_all_is_asked_for(
    tox: Path, interpreters: str
) -> None:
    given = {"TOX": str(tox), "PATH": interpreters, "REQUIRE_ALL": "yes"}

    assert run(".ci/matrix", "py399-*", env=given).returncode == 1
    assert run(".ci/matrix", "py311-*-sqlite", env=given).returncode == 0


def test_matrix_fails_as_a_cell_does(tox: Path, interpreters: str) -> None:
    given = {"TOX": str(tox), "PATH": interpreters, "TOX_STATUS": "3"}

    assert run(".ci/matrix", "*-sqlite", env=given).returncode == 3


def test_matrix_names_its_cells_where_a_pattern_names_none(tox: Path, interpreters: str) -> None:
    done = run(".ci/matrix", "py310-*", env={"TOX": str(tox), "PATH": interpreters})

    assert done.returncode == 2
    assert "py310-* names no cell of the matrix; these are: py311-django52-sqlite" in done.stderr


# The hooks


def test_hooks_need_no_network_and_run_what_lint_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    lint = MAKEFILE[MAKEFILE.index("\nlint:") : MAKEFILE.index("\nhooks:")]

    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    for hook in hooks:
        assert hook["language"] in {"system", "pygrep"}
        if hook["language"] == "system":
            command = hook["entry"].replace(".venv/bin/", "$(BIN)/").replace(" --force-exclude", "")
            assert re.search(f"^\t{re.escape(command)}$", lint, re.MULTILINE), hook["id"]


@pytest.mark.parametrize(
    ("hook", "line", "is_found"),
    [
        ("conflicts", "<<<<<<< HEAD", True),
        ("conflicts", ">>>>>>> branch", True),
        ("conflicts", ">>> 1 + 1", False),
        ("whitespace", "x = 1 ", True),
        ("whitespace", "x = 1", False),
        ("keys", f"TSE_{'aB3' * 10}", True),
        ("keys", "TSE_development", False),
    ],
)
def test_hook_finds_a_line(hook: str, line: str, is_found: bool) -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (entry,) = (h["entry"] for repo in config["repos"] for h in repo["hooks"] if h["id"] == hook)

    assert bool(re.search(entry, line)) is is_found


# The workflows


@each_workflow
def test_workflow_has_limits_and_few_permissions(name: str) -> None:
    workflow = WORKFLOWS[name]

    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    writing = {
        (job_name, permission)
        for job_name, job in workflow["jobs"].items()
        for permission, value in job.get("permissions", {}).items()
        if value == "write"
    }
    assert writing == ({("publish", "id-token")} if name == "release.yml" else set())


@each_workflow
def test_actions_are_pinned_and_keep_no_credentials(name: str) -> None:
    for step in get_steps(WORKFLOWS[name]):
        if used := step.get("uses"):
            assert re.search(r"@(v\d+|release/v\d+|[0-9a-f]{40})$", used), used
            if used.startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@each_workflow
def test_commands_of_a_workflow_exist(name: str) -> None:
    for step in get_steps(WORKFLOWS[name]):
        if command := step.get("run", "").split():
            if command[0] == "make":
                assert command[1] in TARGETS
            else:
                assert os.access(ROOT / command[0], os.X_OK)


@each_workflow
def test_nothing_that_others_write_is_put_into_a_command(name: str) -> None:
    # A tag or a branch can be called `$(curl ...)`: by way of the environment it stays a name.
    assert [step for step in get_steps(WORKFLOWS[name]) if "${{" in step.get("run", "")] == []


def test_release_publishes_what_was_checked() -> None:
    release = WORKFLOWS["release.yml"]
    # YAML 1.1 takes the word "on" for a truth.
    assert release[True] == {"push": {"tags": ["v*"]}}

    build, publish = release["jobs"]["build"], release["jobs"]["publish"]

    assert publish["needs"] == "build"
    (check,) = (step for step in build["steps"] if "run" in step)
    assert (check["run"], check["env"]) == (
        "make release-check",
        {"TAG": "${{ github.ref_name }}"},
    )
    assert [step["uses"].split("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


# A release


def copy_versions(folder: Path, version: str, heading: str) -> Path:
    """Copy what tells a version, with another one; return the script that compares them."""
    (folder / "django_topsort").mkdir()
    (folder / ".ci").mkdir()
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\n## 0.0.9 (2024-01-01)\n")
    (folder / "django_topsort" / "__init__.py").write_text(f'__version__ = "{version}"\n')
    return Path(shutil.copy(ROOT / ".ci" / "check-version", folder / ".ci"))


@pytest.mark.parametrize(
    ("version", "heading", "tag", "words"),
    [
        ("1.2.0", "## 1.2.0 (2027-01-31)", "v1.2.0", ""),
        ("1.2.0", "## 1.2.0 (unreleased)", "", ""),
        ("1.2.0", "## 1.2.0 (unreleased)", "v1.2.0", "write the day: ## 1.2.0 (YYYY-MM-DD)"),
        ("1.2.0", "## 1.2.0 (2027-01-31)", "v1.2.1", "the tag is v1.2.1, and the version 1.2.0"),
        ("1.2.0", "## 1.2.0 (2027-01-31)", "1.2.0", "the tag is 1.2.0"),
        ("1.2.1", "## 1.2.0 (2027-01-31)", "", 'its first section must be "## 1.2.1 (...)"'),
        ("1.2.1", "## 1.2.10 (2027-01-31)", "", 'its first section must be "## 1.2.1 (...)"'),
        ("", "## 1.2.0 (2027-01-31)", "", "has no line __version__"),
    ],
)
def test_version_changelog_and_tag_must_agree(
    version: str, heading: str, tag: str, words: str, tmp_path: Path
) -> None:
    script = copy_versions(tmp_path, version, heading)

    done = run(script, *([tag] if tag else []), cwd=tmp_path)

    assert done.returncode == bool(words), done.stderr
    assert words in done.stderr


def test_version_of_this_tree_is_in_its_changelog() -> None:
    done = run(".ci/check-version")

    assert done.returncode == 0, done.stderr
    assert f"version {django_topsort.__version__}," in done.stdout
