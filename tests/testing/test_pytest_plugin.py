"""The fixtures for pytest, here and in projects of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_topsort import delivery
from django_topsort.backends import locmem
from django_topsort.conf import topsort_settings
from django_topsort.testing import CapturedEvents, FakeApi
from django_topsort.testing.contract import build_event
from django_topsort.testing.fresh import EventBackend as FreshBackend
from django_topsort.testing.pytest_plugin import topsort_api, topsort_events  # noqa: F401
from django_topsort.tracking import record, track_purchase

ROOT = Path(__file__).resolve().parent.parent.parent

# Where the package is installed pytest knows the plugin by its entry point, here perhaps not.
PLUGIN = ["-p", "no:django_topsort", "-p", "django_topsort.testing.pytest_plugin"]
# Such as schemathesis, which `make test-browsers` brings: what they import is not our doing.
OTHERS = ["-p", "no:asyncio", "-p", "no:randomly", "-p", "no:schemathesis"]


@pytest.mark.django_db
def test_events_fixture_captures_the_test(topsort_events: CapturedEvents) -> None:  # noqa: F811
    record(build_event("clicks"))
    track_purchase(build_event("purchases", "order-1"))

    assert [event.kind for event in topsort_events] == ["clicks", "purchases"]
    assert locmem.outbox == []


def test_api_fixture_receives_what_the_default_backend_sends(
    topsort_api: FakeApi,  # noqa: F811
) -> None:
    record(build_event("clicks", "click-1"))
    record(build_event("pageviews"))

    assert topsort_api.url == topsort_settings.TOPSORT_API_URL
    assert [event["id"] for event in topsort_api.wait_for(1, "clicks")] == ["click-1"]
    assert topsort_api.wait_for(2)[1].kind == "pageviews"
    assert topsort_api.altered == []


def test_api_fixture_sends_what_is_left_at_the_end(topsort_api: FakeApi) -> None:  # noqa: F811
    topsort_api.hang()

    record(build_event("clicks"))

    assert topsort_api.clicks == []


@pytest.mark.parametrize("attempt", [1, 2])
def test_api_fixture_starts_with_a_backend_of_its_own(
    topsort_api: FakeApi,  # noqa: F811
    attempt: int,
) -> None:
    record(build_event("clicks", f"click-{attempt}"))

    assert [event["id"] for event in topsort_api.wait_for(1)] == [f"click-{attempt}"]

    # Nothing succeeds until a person changes the key: the backend waits for a minute.
    with topsort_api.answer(401) as fault:
        record(build_event("clicks"))
        fault.wait_for_hit()


def test_api_fixture_ends_while_connections_are_refused(
    topsort_api: FakeApi,  # noqa: F811
) -> None:
    topsort_api.refuse()

    record(build_event("clicks"))

    assert topsort_api.requests == []


def test_event_from_a_thread_that_outlives_its_test_goes_nowhere() -> None:
    backend = FreshBackend()

    backend.send_events([build_event("clicks")])

    assert backend.flush(0) is True


def test_fresh_backend_is_flushed_with_the_others(topsort_api: FakeApi) -> None:  # noqa: F811
    record(build_event("clicks"))

    assert delivery.flush() is True
    assert len(topsort_api.clicks) == 1


def run_pytest(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *PLUGIN, *OTHERS, *options]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_plugin_leaves_a_project_without_django_alone(tmp_path: Path) -> None:
    test = (
        "import sys\n"
        "def test_it():\n"
        "    assert 'django_topsort.testing.pytest_plugin' in sys.modules\n"
        "    assert not {'django', 'jsonschema', 'requests', 'asgiref'} & set(sys.modules)\n"
    )

    done = run_pytest(tmp_path, test, "-p", "no:django", "-W", "error")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fixture", ["topsort_events", "topsort_api"])
def test_fixtures_say_that_django_has_no_settings(tmp_path: Path, fixture: str) -> None:
    done = run_pytest(tmp_path, f"def test_it({fixture}): pass\n", "-p", "no:django")

    assert "1 error" in done.stdout, done.stdout + done.stderr
    assert "configure Django's settings first: " in done.stdout
    assert "DJANGO_SETTINGS_MODULE" in done.stdout
    assert "AttributeError" not in done.stdout
    assert "Traceback" not in done.stdout


def test_fixtures_need_no_plugin_of_django(tmp_path: Path) -> None:
    (tmp_path / "shop_settings.py").write_text("SECRET_KEY = 'x'\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop_settings'\n", encoding="utf-8"
    )
    test = (
        "from django_topsort.testing.contract import build_event\n"
        "def test_it(topsort_events):\n"
        "    from django_topsort.tracking import record\n"
        "    record(build_event('clicks'))\n"
        "    assert len(topsort_events.clicks) == 1\n"
    )

    done = run_pytest(tmp_path, test, "-p", "no:django")

    assert done.returncode == 0, done.stdout + done.stderr


def test_plugin_shows_its_fixtures(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "", "--fixtures", "-p", "no:django")

    assert "topsort_events -- " in done.stdout
    assert "topsort_api -- " in done.stdout


def test_fixtures_work_in_a_project_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "shop_settings.py").write_text(
        "SECRET_KEY = 'x'\n"
        "USE_TZ = True\n"
        "INSTALLED_APPS = ['django_topsort']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
        "TOPSORT_API_KEY = 'TSE_shop'\n",
        encoding="utf-8",
    )
    test = (
        "from django_topsort.testing import capture_events\n"
        "from django_topsort.testing.contract import build_event\n"
        "from django_topsort.tracking import record, track_purchase\n"
        "def test_events(db, topsort_events):\n"
        "    track_purchase(build_event('purchases', '1001'))\n"
        "    assert topsort_events.purchases[0].id == '1001'\n"
        "def test_api(transactional_db, topsort_api):\n"
        "    track_purchase(build_event('purchases', '1002'))\n"
        "    assert topsort_api.wait_for(1, 'purchases')[0]['id'] == '1002'\n"
        "@capture_events()\n"
        "def test_decorated(events, db):\n"
        "    record(build_event('clicks'))\n"
        "    assert len(events) == 1\n"
    )

    done = run_pytest(tmp_path, test, "--ds=shop_settings", "-W", "error")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
