"""What prometheus_client shows is what the status says, for one process and for several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import Http404
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from django_topsort.accounts import accounts
from django_topsort.contrib.prometheus.registering import register
from django_topsort.contrib.prometheus.views import metrics
from django_topsort.metrics import METRICS, NO_LOSS
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.outbox.store import store_events
from django_topsort.status import format_prometheus, get_process_status, get_status
from django_topsort.testing import FakeApi
from tests.outbox.conftest import LOCMEM, OUTBOX
from tests.sending.engine import build_event
from tests.test_imports import run, run_code

THREAD = "django_topsort.backends.thread.EventBackend"
TOKEN = "a-token-of-the-tests"
urlpatterns = [path("metrics", metrics)]

Figures = dict[tuple[str, ...], float]


def parse(text: str, *but: str) -> Figures:
    """Return the figures of a text by name and labels, without the labels ``but``."""
    return {
        (sample.name, *(v for k, v in sorted(sample.labels.items()) if k not in but)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(registry: CollectorRegistry) -> Figures:
    return parse(generate_latest(registry).decode())


@pytest.fixture
def registry() -> CollectorRegistry:
    found = CollectorRegistry(auto_describe=True)
    register(found)
    return found


@pytest.mark.django_db
@pytest.mark.usefixtures("own_backends")
def test_collector_and_text_say_the_same_of_everything(
    settings: Any, registry: CollectorRegistry
) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD, "purchases": OUTBOX}
    accounts.count_refused("clicks", "invalid")
    accounts.note_success()
    accounts.note_failure("NoAnswer")
    store_events([build_event("purchases", "1")], "default")
    OutboxEvent.objects.update(status=Status.DEAD)

    shown = scrape(registry)
    written = parse(format_prometheus(get_status()), "pid")

    assert shown == written
    assert shown["topsort_outbox_dead", "purchases"] == 1
    assert shown["topsort_queue_size",] == 50_000
    assert {name for name, *_ in shown} == {metric.name for metric in METRICS}


@pytest.mark.usefixtures("own_backends")
def test_registering_asks_no_database_and_may_be_said_twice(
    settings: Any, registry: CollectorRegistry
) -> None:
    settings.TOPSORT_BACKENDS = {"default": OUTBOX}  # pytest-django refuses any query here

    register(registry)

    assert "topsort_outbox_up" in registry._names_to_collectors


@pytest.mark.usefixtures("own_backends")
def test_outbox_that_does_not_answer_is_down_and_the_rest_is_shown(
    settings: Any, registry: CollectorRegistry
) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}

    shown = scrape(registry)

    assert shown["topsort_outbox_up",] == 0
    assert shown["topsort_events_recorded_total", "clicks"] >= 0
    assert ("topsort_outbox_waiting", "purchases") not in shown


def test_losses_are_what_was_given_up_for_no_purpose(registry: CollectorRegistry) -> None:
    def lose(kind: str, reason: str) -> float:
        before = scrape(registry)["topsort_events_lost_total", kind]
        accounts.count_refused(kind, reason)
        return scrape(registry)["topsort_events_lost_total", kind] - before

    assert {reason: lose("clicks", reason) for reason in NO_LOSS} == dict.fromkeys(NO_LOSS, 0)
    assert [lose("clicks", reason) for reason in ("overflow", "expired", "invalid")] == [1, 1, 1]


# The page


def get(token: str | None = TOKEN, **headers: str) -> Any:
    given = {} if token is None else {"authorization": f"Bearer {token}"}
    with override_settings(ROOT_URLCONF=__name__):
        return Client().get("/metrics", headers={**given, **headers})


@override_settings(TOPSORT_METRICS_TOKEN=TOKEN)
@pytest.mark.django_db
def test_page_shows_the_metrics_to_who_brings_the_token() -> None:
    answer = get()

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert answer["Cache-Control"] == "no-store"
    shown = parse(answer.content.decode())
    assert all(name.startswith("topsort_") for name, *_ in shown)
    assert ("topsort_events_recorded_total", "clicks") in shown


@override_settings(TOPSORT_METRICS_TOKEN=TOKEN)
@pytest.mark.django_db
def test_page_speaks_openmetrics_where_it_is_asked_to() -> None:
    answer = get(accept="application/openmetrics-text; version=1.0.0")

    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


@override_settings(TOPSORT_METRICS_TOKEN=TOKEN)
@pytest.mark.parametrize("token", [None, "", "another", f"{TOKEN}x", "schlüssel"])
def test_page_refuses_who_does_not_bring_it(token: str | None) -> None:
    answer = get(token)

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert b"topsort_" not in answer.content
    assert TOKEN.encode() not in answer.content


def test_page_is_not_there_without_the_setting() -> None:
    request = RequestFactory().get("/metrics", headers={"authorization": "Bearer "})

    with pytest.raises(Http404):
        metrics(request)
    with override_settings(TOPSORT_METRICS_TOKEN=TOKEN):
        assert metrics(RequestFactory().post("/metrics")).status_code == 405


# Several processes, each a new one: prometheus_client looks at its environment when imported.

SET_UP = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="tests-only",
    INSTALLED_APPS=["django_topsort", "django_topsort.contrib.prometheus"],
    TOPSORT_API_KEY="TSE_tests",
    TOPSORT_API_URL="%s",
    TOPSORT_BACKENDS={"default": "django_topsort.backends.%s.EventBackend"},
)
django.setup()
from django.core.signals import request_started
from django_topsort.tracking import record
from tests.sending.engine import build_event, build_events
"""
SHOP = """
request_started.send(None)
for event in build_events(%d, "clicks"):
    record(event)
"""
READ = """
import json
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""

Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return a function that runs code in a process that shares its figures with others."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def start(*code: str, url: str = "http://127.0.0.1:9", backend: str = "locmem") -> str:
        return run_code("".join([SET_UP % (url, backend), *code]), "-W", "error").stdout

    return start


def test_processes_that_have_ended_are_added_up(start: Start) -> None:
    for count in (3, 4, 5):
        start(SHOP % count)

    shown = parse(start(READ))

    assert shown["topsort_events_recorded_total", "clicks"] == 12
    assert shown["topsort_events_delivered_total", "clicks"] == 12
    assert shown["topsort_last_success_at",] > 0


def test_what_leaves_at_the_very_end_of_a_process_is_counted(start: Start) -> None:
    later = "settings.TOPSORT_FLUSH_INTERVAL = 3600\n"
    with FakeApi(api_key="TSE_tests") as api:
        start(later, SHOP % 7, url=api.url, backend="thread")
        assert len(api.clicks) == 7

    shown = parse(start(READ))

    assert shown["topsort_events_delivered_total", "clicks"] == 7


def test_process_without_requests_is_counted_from_its_first_events_on(start: Start) -> None:
    with FakeApi(api_key="TSE_tests") as api:
        flush = "from django_topsort.delivery import flush\nassert flush(20)\n"
        start("record(build_event('clicks'))\n", flush, url=api.url, backend="thread")

    shown = parse(start(READ))

    assert shown["topsort_events_delivered_total", "clicks"] == 1


def test_forked_child_counts_its_own_and_both_are_added_up(start: Start) -> None:
    fork = (
        SHOP % 2
        + "import os, sys\nchild = os.fork()\n"
        + SHOP % 5
        + "if child:\n    assert os.waitpid(child, 0)[1] == 0\n"
    )
    start(fork)

    shown = parse(start(READ))

    assert shown["topsort_events_recorded_total", "clicks"] == 2 + 5 + 5


def test_own_registry_of_several_processes_has_all_figures_and_nobody_elses(start: Start) -> None:
    start(SHOP % 3)

    shown = parse(
        start(
            SHOP % 4,
            "from prometheus_client import Counter, generate_latest\n"
            "Counter('of_somebody_else', 'Is not ours.').inc()\n"
            "from django_topsort.contrib.prometheus.registering import build_registry\n"
            "print(generate_latest(build_registry()).decode())\n",
        )
    )

    assert shown["topsort_events_recorded_total", "clicks"] == 7
    assert all(name.startswith("topsort_") for name, *_ in shown)


def test_thread_writes_while_nothing_happens(start: Start) -> None:
    """What waits grows older without an event, and a process that is killed has written it."""
    wait = (
        "import os, time\n"
        "from django_topsort.contrib.prometheus import mirroring\n"
        "mirroring.INTERVAL = 0.05\n"
        "settings.TOPSORT_FLUSH_INTERVAL = 3600\n"
    )
    see = (
        "from prometheus_client.multiprocess import MultiProcessCollector\n"
        "def read():\n"
        "    families = MultiProcessCollector(None).collect()\n"
        "    return {one.name: one.samples[0].value for one in families}\n"
        "deadline = time.monotonic() + 20\n"
        "while read()['topsort_oldest_seconds'] < 0.2:\n"
        "    assert time.monotonic() < deadline\n"
        "    time.sleep(0.01)\n"
        "os._exit(0)\n"
    )
    start(wait, SHOP % 3, see, backend="thread")

    shown = parse(start(READ))

    assert shown["topsort_events_recorded_total", "clicks"] == 3
    assert shown["topsort_oldest_seconds",] >= 0.2


def test_request_writes_where_threads_do_not_run(start: Start) -> None:
    frozen = (
        "import threading\n"
        "threading.Thread.start = lambda self: None\n"
        "from django_topsort.contrib.prometheus import mirroring\n"
        "mirroring.INTERVAL = 0\n"
    )
    start(frozen, SHOP % 3, SHOP % 4, "import os\nrequest_started.send(None)\nos._exit(0)\n")

    assert parse(start(READ))["topsort_events_recorded_total", "clicks"] == 7


# Where it is not used, or not installed


def test_setup_starts_no_thread_and_loads_the_library_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    found = run(SET_UP % ("http://127.0.0.1:9", "locmem"))

    assert found["threads"] == 1
    assert {"requests", "rest_framework"}.isdisjoint(
        name.partition(".")[0] for name in found["modules"]
    )
    assert [*tmp_path.iterdir()] == []


HIDE = """
import sys
class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == %r:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hiding())
"""


@pytest.mark.parametrize(
    ("app", "library", "install"),
    [
        ("prometheus", "prometheus_client", '"django-topsort[prometheus]"'),
        ("opentelemetry", "opentelemetry", '"django-topsort[opentelemetry]"'),
    ],
)
def test_absent_library_is_named_with_what_to_install(app: str, library: str, install: str) -> None:
    code = (
        HIDE % library
        + (SET_UP % ("http://127.0.0.1:9", "locmem"))
        .replace("contrib.prometheus", f"contrib.{app}")
        .replace(
            "django.setup()\n", "try:\n    django.setup()\nexcept ImportError as e:\n    print(e)\n"
        )
        .partition("from django.core.signals")[0]
    )

    said = run_code(code).stdout

    assert f"django_topsort.contrib.{app} needs " in said
    assert f"pip install {install}" in said


def test_rest_works_without_the_libraries() -> None:
    code = SET_UP.replace(', "django_topsort.contrib.prometheus"', "") % ("-", "locmem")
    show = "from django_topsort.status import format_prometheus, get_status\n"
    show += "print(format_prometheus(get_status()))\n"

    said = run_code(HIDE % "prometheus_client" + HIDE % "opentelemetry" + code + SHOP % 3 + show)

    assert parse(said.stdout, "pid")["topsort_events_recorded_total", "clicks"] == 3


def test_status_of_the_process_asks_neither_database_nor_cache(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": OUTBOX}

    status = get_process_status()

    assert (status["outbox"], status["error"], status["left_out"]) == (None, "", {})
    assert status["process"] == accounts.get_counts()
