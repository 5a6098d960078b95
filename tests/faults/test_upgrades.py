"""New releases of Python, of Django, of the API and of this package: fault 100."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_topsort.testing import FakeApi
from tests.faults.shop import KEY, check_books, run_shop
from tests.scripts import run_script

pytestmark = pytest.mark.faults


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        yield api


def test_fault_100_import_has_no_effect() -> None:
    # Warnings are errors in a script of the tests: also those of a Django that is to come.
    result = run_script(
        """
        import atexit, logging, pkgutil, signal, sys, threading, warnings
        from importlib import import_module

        registered = []
        atexit.register = lambda *args, **kwargs: registered.append(args)
        before = [signal.getsignal(number) for number in signal.valid_signals()]
        import django_topsort
        # These are imported when Django is set up: REST framework reads settings at once, and so
        # do the Debug Toolbar, the admin and a task.
        later = (".outbox.", ".rest_framework.", ".urls", ".pytest_plugin", ".debug_toolbar")
        later += (".engines.tasks",)
        path, failed = django_topsort.__path__, []
        for module in pkgutil.walk_packages(path, "django_topsort.", failed.append):
            if not any(name in module.name for name in later):
                import_module(module.name)
        assert failed == ["django_topsort.contrib.debug_toolbar", "django_topsort.outbox.admin"]
        from django.conf import settings
        assert not settings.configured
        assert threading.enumerate() == [threading.main_thread()]
        assert [signal.getsignal(number) for number in signal.valid_signals()] == before
        assert logging.getLogger().handlers == []
        assert logging.getLogger("django_topsort").handlers == []
        assert not [args for args in registered if "topsort" in str(args)]
        """,
        measured=False,
        DJANGO_SETTINGS_MODULE="",  # whoever reads a setting gets an ImproperlyConfigured
    )

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("auto_field", ["BigAutoField", "AutoField"])
def test_fault_100_models_need_no_migration_of_the_project(auto_field: str) -> None:
    told = run_shop(
        """
        import io
        from django.core.management import call_command
        from django.db import connection

        said = io.StringIO()
        call_command("makemigrations", check=True, dry_run=True, stdout=said)
        call_command("migrate", verbosity=0)
        tell(said=said.getvalue(), tables=connection.introspection.table_names())
        """,
        None,
        DEFAULT_AUTO_FIELD=f"django.db.models.{auto_field}",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django_topsort", "django_topsort.outbox"],
    )

    assert told.facts["said"] == "No changes detected\n"
    assert [name for name in told.facts["tables"] if "topsort" in name]


def test_fault_100_api_that_says_more_than_it_used_to(api: FakeApi) -> None:
    body = b'{"accepted": 10, "warnings": [], "requestId": "r-1"}'
    more = {"X-New": "1", "Content-Type": "application/json; charset=utf-8; profile=v3"}
    api.answer(202, body, more, times=1)
    api.answer(200, body, more, times=1)

    told = run_shop(
        """
        from django_topsort.delivery import deliver_safely, flush
        from tests.sending.engine import build_events

        for number in range(3):
            deliver_safely(build_events(10, "clicks", f"batch-{number}"))
            flush(20)
        """,
        api,
    )

    # The stand-in has not taken what it answered on demand: our side took it at its word.
    assert told.counts["clicks"]["delivered"] == 30
    assert len(api.requests) == 3
    assert told.dropped == {}


def test_fault_100_api_that_becomes_stricter(api: FakeApi) -> None:
    api.poison(lambda event: "placement" not in event)

    told = run_shop(
        """
        from django.test import RequestFactory
        from django_topsort.delivery import deliver_safely, flush
        from django_topsort.tracking import track_click
        from tests.sending.engine import build_events

        request = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"}).get("/")
        for number in range(20):
            track_click(request, f"p-{number}", id=f"good-{number}")
        deliver_safely(build_events(3, "clicks", "old"))
        flush(20)
        """,
        api,
    )

    good = [f"good-{number}" for number in range(20)]
    old = [f"old-{number}" for number in range(3)]
    check_books(told, api, [*good, *old])
    assert sorted(told.rejected) == old
