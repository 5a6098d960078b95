"""What a shop's tests record goes nowhere when they are over."""

from __future__ import annotations

from pathlib import Path

from tests.scripts import run_script

PROJECT = """
    import sys
    from django.conf import settings

    settings.configure(
        SECRET_KEY="tests-only",
        INSTALLED_APPS=["django_topsort", "django_topsort.outbox"],
        MIDDLEWARE=["django_topsort.middleware.TopsortMiddleware"],
        ROOT_URLCONF="__main__",
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": sys.argv[1],
                "TEST": {"NAME": sys.argv[1] + ".test"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        TOPSORT_API_KEY="TSE_tests",
        TOPSORT_API_URL="http://127.0.0.1:9",  # nobody is there
        TOPSORT_SHUTDOWN_TIMEOUT=1,
        TOPSORT_BACKENDS={
            "default": "django_topsort.backends.thread.EventBackend",
            "purchases": "django_topsort.outbox.backend.EventBackend",
            "overflow": "django_topsort.outbox.backend.EventBackend",
        },
    )
    import django
    django.setup()

    from django.core.management import call_command
    from django.http import HttpResponse
    from django.test import Client, TransactionTestCase
    from django.test.runner import DiscoverRunner
    from django.urls import path
    from django_topsort.outbox.models import OutboxEvent
    from django_topsort.tracking import record, track_pageview
    from tests.sending.engine import build_event

    def page(request):
        track_pageview(request, "home")
        return HttpResponse("hello")

    urlpatterns = [path("", page)]

    class ShopTests(TransactionTestCase):
        def test_a_page_and_an_order(self):
            Client(headers={"user-agent": "Firefox"}).get("/")
            record(build_event("purchases", "of a test"))
            assert OutboxEvent.objects.count() == 1

    call_command("migrate", verbosity=0)
"""
TESTS = """
    runner = DiscoverRunner(verbosity=0)
    suite = runner.test_loader.loadTestsFromTestCase(ShopTests)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    assert runner.run_suite(suite).wasSuccessful()
    runner.teardown_databases(databases)
    runner.teardown_test_environment()
"""
LOOK = """
    print([row.event_id for row in OutboxEvent.objects.all()])
"""


def test_overflow_of_tests_does_not_reach_the_shops_database(tmp_path: Path) -> None:
    database = str(tmp_path / "shop.sqlite3")

    done = run_script(PROJECT + TESTS, database)

    assert done.returncode == 0, done.stderr
    assert "reason=shutdown" in done.stderr
    assert run_script(PROJECT + LOOK, database).stdout == "[]\n"
