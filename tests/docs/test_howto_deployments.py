"""docs/howto/deployments.md; tests/servers/test_howto_deployments.py runs its servers."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.utils.module_loading import import_string

from django_topsort.conf import SETTINGS
from django_topsort.testing import FakeApi
from tests.docs.guides import Project, get_guide, get_keys, get_text, read_settings
from tests.sending.engine import build_event

BLOCKS = [
    "gunicorn.conf.py",
    "gunicorn.conf.py, with gevent and preload_app",
    "uwsgi.ini",
    "mysite/asgi.py",
    "shop/functions.py",
    "mysite/settings.py, without threads",
    "console",
]
SHUTDOWN = float(SETTINGS["TOPSORT_SHUTDOWN_TIMEOUT"].default)


@contextmanager
def use_api(project: Project, **values: Any) -> Iterator[FakeApi]:
    with (
        FakeApi(api_key="TSE_tests") as api,
        project.use(TOPSORT_API_URL=api.url, **values),
    ):
        yield api


def test_guide_has_these_blocks() -> None:
    assert get_keys("deployments") == BLOCKS


@pytest.mark.parametrize("key", BLOCKS[:2])
def test_gunicorn_has_more_time_than_we_need(key: str) -> None:
    values: dict[str, Any] = {}
    text = re.sub(r"(?m)^(from gevent|patch_all).*$", "", get_text("deployments", key))
    exec(compile(text, key, "exec"), values)

    assert values["graceful_timeout"] > SHUTDOWN


def test_file_of_uwsgi_can_be_read() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(get_text("deployments", "uwsgi.ini"))

    assert "die-on-term" not in parser["uwsgi"]
    assert parser["uwsgi"]["hook-master-start"].startswith("unix_signal:15")


def test_application_of_asgi_is_wrapped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    project.write("mysite/asgi.py", get_text("deployments", "mysite/asgi.py"))

    application = import_string("mysite.asgi.application")

    assert application.__qualname__.startswith("flush_on_shutdown")


@pytest.mark.usefixtures("own_backends")
def test_function_sends_before_it_returns(project: Project) -> None:
    project.follow("deployments")
    project.write(
        "shop/functions.py",
        get_text("deployments", "shop/functions.py").replace("...", "record(event)", 1)
        + "\nfrom django_topsort.tracking import record\n",
    )
    thread = {"default": "django_topsort.backends.thread.EventBackend"}
    with use_api(project, TOPSORT_BACKENDS=thread, TOPSORT_FLUSH_INTERVAL=60) as api:
        import_string("shop.functions.handle_event")(build_event("clicks"), None)

        assert len(api.clicks) == 1


@pytest.mark.usefixtures("own_backends")
@pytest.mark.django_db(transaction=True)
def test_settings_without_threads_post_at_once(project: Project) -> None:
    from django_topsort.tracking import record

    with use_api(project, **read_settings("deployments", BLOCKS[5])) as api:
        assert [one for one in run_checks() if (one.id or "").startswith("django_topsort.E")] == []
        record(build_event("clicks"))
        assert len(api.clicks) == 1
        record(build_event("purchases"))
        assert api.purchases == []
        call_command("topsort_relay", "--once")
        assert len(api.purchases) == 1


def test_commands_of_the_guide_end_well(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in get_guide("deployments") if block.language == "console"]
    with use_api(project) as api:
        for line in block.text.splitlines():
            call_command(*line.split()[2:])

        assert "Topsort took the page view" in capsys.readouterr().out
        assert len(api.pageviews) == 1
