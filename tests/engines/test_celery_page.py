"""docs/howto/celery.md: its files make a shop whose worker knows our tasks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from django_topsort.conf import SETTINGS
from tests.docs.guides import get_guide
from tests.scripts import run_script

PROJECT = """
SECRET_KEY = "tests-only"
INSTALLED_APPS = ["django_topsort", "django_topsort.outbox"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TOPSORT_API_KEY = "TSE_tests"
MIDDLEWARE = ["django_topsort.middleware.TopsortMiddleware"]
"""
ASK = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
import mysite
from django.core.checks import run_checks
app = mysite.celery_app
app.loader.import_default_modules()
print(sorted(name for name in app.tasks if name.startswith("django_topsort")))
print([message.id for message in run_checks() if message.is_serious()])
print(app.conf.beat_schedule["topsort-outbox"]["task"])
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The files of the page, in the project that it takes for granted."""
    folder = tmp_path / "mysite"
    folder.mkdir()
    texts = {"mysite/settings.py": PROJECT, "mysite/__init__.py": "", "mysite/celery.py": ""}
    for block in get_guide("celery"):
        if block.title:
            texts[block.title] += block.text
    for title, text in texts.items():
        (tmp_path / title).write_text(text, encoding="utf-8")
    return tmp_path


def test_worker_of_the_page_knows_our_tasks_and_checks_pass(site: Path) -> None:
    tasks, problems, periodic = run_script(ASK, str(site)).stdout.splitlines()

    assert tasks == "['django_topsort.relay_outbox', 'django_topsort.send_events']"
    # The client of the page's broker is not among what these tests run with; see its first block.
    has_client = find_spec("redis") is not None
    assert problems == ("[]" if has_client else "['django_topsort.E071']")
    assert periodic in tasks


def test_settings_of_the_page_are_ours_or_celery_s() -> None:
    values: dict[str, Any] = {}
    for block in get_guide("celery"):
        if block.title == "mysite/settings.py":
            exec(block.text, values)

    names = {name for name in values if name.isupper()}
    assert {name for name in names if not name.startswith("CELERY_")} <= set(SETTINGS)


def test_commands_of_the_page_are_those_of_celery() -> None:
    lines = [block.text for block in get_guide("celery") if block.language == "console"]

    assert 'python -m pip install "django-topsort[celery]" "celery[redis]"\n' in lines
    assert any(line.startswith("celery -A mysite worker -Q topsort -l INFO ") for line in lines)
