"""The wheel as it would be published: what is in it, and that it works elsewhere."""

from __future__ import annotations

import email
import fnmatch
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import django
import pytest

import django_topsort
from tests.absent import LIBRARIES, SCRIPT
from tests.packaging.commands import run

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
INSTALLED_APPS += ["django_topsort", "django_topsort.outbox"]
MIDDLEWARE.insert(0, "django_topsort.middleware.TopsortMiddleware")
TOPSORT_API_KEY = "TSE_packaging"
TOPSORT_API_URL = "http://127.0.0.1:1"
TEMPLATES[0]["OPTIONS"]["loaders"] = [
    ("django.template.loaders.locmem.Loader", {"page.html": PAGE}),
    "django.template.loaders.app_directories.Loader",
]
TEMPLATES[0]["APP_DIRS"] = False
ALLOWED_HOSTS = ["testserver"]
"""
PAGE = (
    '{% load topsort %}{% topsort_pageview page_type="home" %}'
    '{% topsort_impression "p-1" position=1 %}'
    '<a href="{% topsort_click_url "/product/" "p-1" %}">p-1</a>'
)
URLS = """
from django.shortcuts import render
from django.urls import include, path

urlpatterns = [
    path("", lambda request: render(request, "page.html")),
    path("topsort/", include("django_topsort.urls")),
]
"""
VISIT = """
import re, sys
import django
django.setup()
import django_topsort
assert django_topsort.__file__.startswith(sys.prefix), django_topsort.__file__
from django.conf import settings
from django.test import Client
from django_topsort.delivery import flush
from django_topsort.testing import FakeApi
with FakeApi(api_key="TSE_packaging") as api:
    settings.TOPSORT_API_URL = api.url
    shopper = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"})
    page = shopper.get("/").content.decode()
    (link,) = re.findall('href="([^"]+)"', page)
    assert shopper.get(link.replace("&amp;", "&")).status_code == 302
    assert shopper.get("/topsort/click/forged").status_code >= 400
    assert flush(10)
    print(sorted(event.kind for event in api.events))
"""


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; the directory of its executables."""
    base = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", base / "env", cwd=base)
    run(
        base / "env" / "bin" / "python",
        *("-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check"),
        *("--constraint", ROOT / "requirements" / "dev.txt"),
        *(f"{wheel}[testing]", f"django=={django.__version__}"),
        cwd=base,
    )
    return base / "env" / "bin"


@pytest.fixture(scope="module")
def project(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new Django project that uses the package."""
    base = tmp_path_factory.mktemp("project")
    run(installed / "django-admin", "startproject", "shop", base, cwd=base)
    with (base / "shop" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write(f"PAGE = {PAGE!r}\n{SETTINGS}")
    (base / "shop" / "urls.py").write_text(URLS, encoding="utf-8")
    run(installed / "python", "manage.py", "migrate", "--verbosity=0", cwd=base)
    return base


@pytest.mark.packaging
def test_wheel_holds_every_file_of_the_package(names: set[str]) -> None:
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "django_topsort").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert package - names == set()
    assert {name for name in names if name.startswith("django_topsort/")} - package == set()


@pytest.mark.packaging
@pytest.mark.parametrize(
    "pattern",
    [
        "py.typed",
        "templates/*.html",
        "outbox/migrations/0001_*.py",
        "outbox/static/*.css",
        "outbox/templates/*.html",
        "testing/*.schema.json",
        "static/django_topsort/topsort.js",
    ],
)
def test_wheel_holds_what_is_no_module_of_its_own(pattern: str, names: set[str]) -> None:
    assert fnmatch.filter(names, f"django_topsort/{pattern}")


@pytest.mark.packaging
def test_wheel_holds_nothing_but_the_package(names: set[str]) -> None:
    version = django_topsort.__version__

    roots = {name.partition("/")[0] for name in names}

    assert roots == {"django_topsort", f"django_topsort-{version}.dist-info"}


@pytest.mark.packaging
def test_wheel_describes_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (one for one in zipfile.Path(archive).iterdir() if one.name.endswith("-info"))
        metadata = email.message_from_string((info / "METADATA").read_text(encoding="utf-8"))
        entry_points = (info / "entry_points.txt").read_text(encoding="utf-8")
        licences = [path.name for path in (info / "licenses").iterdir()]

    requires = metadata.get_all("Requires-Dist") or []

    assert metadata["Version"] == django_topsort.__version__
    assert metadata["License-Expression"] == "MIT"
    assert licences == ["LICENSE"]
    assert "django_topsort.testing.pytest_plugin" in entry_points
    assert {name.split(">=")[0] for name in requires if "extra ==" not in name} == {
        "crawler-user-agents",
        "django",
        "djangorestframework",
        "msgspec",
        "requests",
    }


@pytest.mark.packaging
def test_sdist_holds_the_tests_and_no_account_name(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")

    with tarfile.open(path) as archive:
        members = archive.getmembers()
    inside = {member.name.partition("/")[2] for member in members}

    assert {"CHANGELOG.md", "Makefile", "requirements/dev.txt", "tests/settings.py"} <= inside
    assert {"example_project/manage.py", "tests/packaging/test_wheel.py"} <= inside
    assert {"benchmarks/child.py", "docs/benchmarks.md"} <= inside
    assert {".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml"} <= inside
    assert {member.uname for member in members} <= {"root", ""}


@pytest.mark.packaging
def test_installed_package_passes_its_checks(installed: Path, project: Path) -> None:
    run(installed / "python", "manage.py", "check", "--fail-level", "WARNING", cwd=project)
    run(installed / "python", "manage.py", "makemigrations", "--check", "--dry-run", cwd=project)


@pytest.mark.packaging
def test_installed_package_reports_a_visit(installed: Path, project: Path) -> None:
    told = run(
        *(installed / "python", "-W", "error", "-c", VISIT),
        cwd=project,
        DJANGO_SETTINGS_MODULE="shop.settings",
    )

    assert told.split("\n")[-2] == "['clicks', 'impressions', 'pageviews']"


@pytest.mark.packaging
def test_installed_package_imports_every_module(installed: Path, project: Path) -> None:
    code = (
        "import django, importlib, pkgutil; django.setup(); import django_topsort\n"
        "walk = pkgutil.walk_packages(django_topsort.__path__, 'django_topsort.')\n"
        "for module in walk:\n"
        "    if module.name not in LATER:\n"
        "        importlib.import_module(module.name)\n"
    )
    # These need what only some projects have installed: see tests/absent.py.
    later = {
        "django_topsort.contrib.debug_toolbar",
        "django_topsort.contrib.opentelemetry.registering",
        "django_topsort.contrib.prometheus.mirroring",
        "django_topsort.contrib.prometheus.registering",
        "django_topsort.contrib.prometheus.views",
        "django_topsort.engines.celery",
        "django_topsort.engines.merging",
        "django_topsort.engines.tasks",
        "django_topsort.jinja2",
        "django_topsort.outbox.turn_task",
        "django_topsort.rest_framework.schema",
        "django_topsort.testing.pytest_plugin",
    }

    run(
        *(installed / "python", "-W", "error", "-c", f"LATER = {later!r}\n{code}"),
        cwd=project,
        DJANGO_SETTINGS_MODULE="shop.settings",
    )


@pytest.mark.packaging
def test_installed_package_says_what_to_install_for_what_it_lacks(installed: Path) -> None:
    # The extra brings one of the libraries; the environment really lacks the others.
    absent = [name for name in LIBRARIES if name != "jsonschema"]
    uses = [use for name in absent for use in LIBRARIES[name]]
    codes = json.dumps([use.code for use in uses])

    told = run(installed / "python", "-W", "error", "-c", SCRIPT, "[]", codes, cwd=installed)

    for use, said in zip(uses, json.loads(told.splitlines()[-1]), strict=True):
        assert use.said in said, use.code
