"""What the package loads, and does, when it is imported: in a fresh interpreter each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

TELL = """
import json, sys, threading
told = {"modules": sorted(sys.modules), "threads": threading.active_count()}
print(json.dumps(told))
"""
SET_UP = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="tests-only",
    USE_TZ=True,
    INSTALLED_APPS=[%s],
    MIDDLEWARE=["django_topsort.middleware.TopsortMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TOPSORT_API_KEY="TSE_tests",
)
django.setup()
"""
OURS = '"django_topsort", "django_topsort.outbox"'


def run(code: str) -> dict[str, Any]:
    """Return what a new interpreter tells after ``code``; any warning is an error."""
    found: dict[str, Any] = json.loads(run_code(code + TELL, "-W", "error").stdout)
    return found


def run_code(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, which must end well, and return what it wrote."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def get_roots(found: dict[str, Any]) -> set[str]:
    return {name.partition(".")[0] for name in found["modules"]}


def test_import_of_the_package_loads_nothing_else() -> None:
    before = get_roots(run(""))

    after = get_roots(run("import django_topsort"))

    assert after - before <= {"django_topsort", "__future__"}


@pytest.mark.parametrize(
    "module", ["tracking", "signals", "events", "middleware", "conf", "checks"]
)
def test_import_needs_no_settings(module: str) -> None:
    # Without a settings module, whoever reads a setting gets an ImproperlyConfigured.
    found = run(f"import django_topsort.{module}")

    assert found["threads"] == 1
    assert get_roots(found).isdisjoint({"rest_framework", "requests", "urllib3"})


@pytest.mark.parametrize("apps", ['"django_topsort"', OURS], ids=["package", "with-outbox"])
def test_setup_loads_neither_drf_nor_requests(apps: str) -> None:
    found = run(SET_UP % apps)

    assert "django_topsort.apps" in found["modules"]
    heavy = {"rest_framework", "requests", "urllib3", "jsonschema", "crawleruseragents"}
    assert get_roots(found).isdisjoint(heavy)
    assert "django_topsort.testing" not in found["modules"]


def test_setup_starts_no_thread() -> None:
    assert run(SET_UP % OURS)["threads"] == 1


def test_middleware_loads_nothing_that_only_sending_needs() -> None:
    found = run(
        SET_UP % OURS
        + "from django.test import RequestFactory\n"
        + "from django.http import HttpResponse\n"
        + "from django_topsort.middleware import TopsortMiddleware\n"
        + "TopsortMiddleware(lambda request: HttpResponse())(RequestFactory().get('/'))\n"
    )

    heavy = {"rest_framework", "requests", "urllib3", "crawleruseragents"}
    assert get_roots(found).isdisjoint(heavy)
    assert found["threads"] == 1


def test_list_of_crawlers_is_loaded_with_the_first_agent() -> None:
    found = run(
        SET_UP % OURS
        + "from django.test import RequestFactory\n"
        + "from django_topsort.visits import get_ignore_reason\n"
        + "request = RequestFactory().get('/', HTTP_USER_AGENT='curl/8.5.0')\n"
        + "assert get_ignore_reason(request) == 'crawler'\n"
    )

    assert "crawleruseragents" in found["modules"]


def test_package_installs_no_signal_handler() -> None:
    # One would take the place of the server's.
    found = run(
        "import os, signal\n"
        "def read(): return {n: signal.getsignal(n) for n in signal.valid_signals()}\n"
        "before = read()\n"
        + SET_UP % OURS
        + "from django.test import override_settings\n"
        + "from django_topsort.delivery import flush\n"
        + "from django_topsort.routing import close_backends\n"
        + "from django_topsort.testing import FakeApi\n"
        + "from django_topsort.tracking import record\n"
        + "from tests.sending.engine import build_event\n"
        + "with FakeApi() as api, override_settings(TOPSORT_API_URL=api.url):\n"
        + "    record(build_event())\n"
        + "    assert flush(20)\n"
        + "    close_backends()\n"
        + "assert len(api.events) == 1\n"
        + "assert read() == before\n"
    )

    assert "django_topsort.sending.workers" in found["modules"]
