"""docs/howto/testing.md: its tests pass, in a shop that reports, and fail in one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.guides import Project, get_keys, get_text
from tests.readme import ROOT
from tests.testing.test_pytest_plugin import OTHERS, PLUGIN

BLOCKS = [
    "mysite/test_settings.py",
    "shop/tests.py",
    "shop/test_events.py",
    "shop/test_outage.py",
    "shop/backend.py",
    "shop/test_backend.py",
]
SETTINGS = """
SECRET_KEY = "tests-only"
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["django_topsort", "django_topsort.outbox"]
MIDDLEWARE = ["django_topsort.middleware.TopsortMiddleware"]
TOPSORT_API_KEY = "TSE_tests"
TOPSORT_API_URL = "http://127.0.0.1:1"
"""
URLS = """
from django.http import HttpResponse
from django.urls import include, path
from django_topsort.signals import order_paid
from django_topsort.tracking import track_impression

def show(request):
    for position in (1, 2):
        track_impression(request, f"p-{position}", position=position)
    return HttpResponse()

def check_out(request):
    lines = [{"product": "p-1", "quantity": 2, "line_total": "59.80"}]
    order = {"number": "1001", "lines": lines}
    order_paid.send(sender=None, order=order, request=request)
    return HttpResponse()

urlpatterns = [
    path("", show),
    path("checkout", check_out),
    path("topsort/", include("django_topsort.urls")),
]
"""


@pytest.fixture
def shop(project: Project) -> Path:
    project.follow("testing")
    project.write("mysite/settings.py", SETTINGS)
    project.write(BLOCKS[0], get_text("testing", BLOCKS[0]))
    project.write("shop/urls.py", URLS)
    project.write("shop/models.py", "")
    return project.folder


def run_tests(folder: Path) -> str:
    """Run the guide's tests as a shop does; return what pytest says."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{folder}",
        "DJANGO_SETTINGS_MODULE": "mysite.test_settings",
    }
    environment.pop("PYTEST_ADDOPTS", None)
    names = [folder / name for name in BLOCKS[1:] if "test" in name]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *PLUGIN, *OTHERS, *names],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


def test_guide_has_these_blocks() -> None:
    assert get_keys("testing") == BLOCKS


def test_tests_of_the_guide_pass(shop: Path) -> None:
    said = run_tests(shop)

    assert "17 passed" in said, said
    assert "failed" not in said


def test_tests_of_the_guide_notice_a_tag_that_was_taken_out(shop: Path) -> None:
    (shop / "shop" / "urls.py").write_text(URLS.replace("in (1, 2)", "in (1,)"), encoding="utf-8")

    said = run_tests(shop)

    assert "3 failed" in said, said
    assert "test_checkout" not in said.partition("short test summary")[2]
