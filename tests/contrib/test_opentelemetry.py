"""What OpenTelemetry's SDK reads is what the status says, also when it is posted by OTLP."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader

from django_topsort.accounts import accounts
from django_topsort.contrib.opentelemetry.registering import register
from django_topsort.metrics import METRICS, Metric
from django_topsort.outbox.store import store_events
from django_topsort.status import get_status
from tests.contrib.test_prometheus import HIDE
from tests.outbox.conftest import LOCMEM, OUTBOX
from tests.sending.engine import build_event
from tests.test_imports import run_code

THREAD = "django_topsort.backends.thread.EventBackend"
Figures = dict[tuple[str, ...], float]


@contextmanager
def provide(reader: Any) -> Iterator[MeterProvider]:
    provider = MeterProvider([reader], shutdown_on_exit=False)
    try:
        yield provider
    finally:
        provider.shutdown()


def read(reader: InMemoryMetricReader) -> Figures:
    """Return the figures by name and the values of their attributes."""
    return {
        (metric.name, *map(str, (point.attributes or {}).values())): getattr(point, "value")  # noqa: B009
        for one in reader.get_metrics_data().resource_metrics  # type: ignore[union-attr]
        for scope in one.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


@pytest.mark.django_db
@pytest.mark.usefixtures("own_backends")
def test_reader_gets_what_the_status_says(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD, "purchases": OUTBOX}
    accounts.count_refused("clicks", "invalid")
    accounts.note_success()
    accounts.note_failure("NoAnswer")
    store_events([build_event("purchases", "1")], "default")
    reader = InMemoryMetricReader()
    with provide(reader) as provider:
        register(provider)
        register(provider)  # which adds nothing

        found = read(reader)

    status = get_status()
    expected = {
        (metric.dotted, *values): figure
        for metric in METRICS
        for values, figure in metric.read(status)
    }
    assert found == pytest.approx(expected, abs=5)
    assert found["topsort.outbox.waiting", "purchases"] == 1
    assert {name for name, *_ in found} == {metric.dotted for metric in METRICS}


@pytest.mark.usefixtures("own_backends")
def test_outbox_may_be_left_to_one_process(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}  # no query is allowed
    reader = InMemoryMetricReader()
    with provide(reader) as provider:
        register(provider, outbox=False)

        found = read(reader)

    assert ("topsort.events.recorded", "clicks") in found
    assert not any(name.startswith("topsort.outbox") for name, *_ in found)


def test_one_reading_asks_the_outbox_once(
    settings: Any, django_assert_max_num_queries: Any, db: None
) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": OUTBOX}
    get_status()  # which asks a database once what it is
    reader = InMemoryMetricReader()
    with provide(reader) as provider:
        register(provider)
        with django_assert_max_num_queries(2):
            read(reader)


def name_as_prometheus_does(metric: Metric) -> str:
    """Return the name that OpenTelemetry's specification gives to a metric in Prometheus."""
    name = re.sub(r"\W", "_", metric.dotted)
    unit = {"s": "_seconds"}.get(metric.unit, "")
    return f"{name}{unit}{'_total' if metric.is_counter else ''}"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.dotted)
def test_dashboards_and_alerts_fit_metrics_that_came_by_opentelemetry(metric: Metric) -> None:
    assert name_as_prometheus_does(metric) == metric.name


class Taker(HTTPServer):
    """Takes what is posted to it, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.bodies: list[bytes] = []


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Taker)
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_exporter_posts_the_figures_by_otlp(settings: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM}
    with Taker() as taker:
        thread = threading.Thread(target=taker.serve_forever)
        thread.start()
        try:
            exporter = OTLPMetricExporter(f"http://127.0.0.1:{taker.server_port}/v1/metrics")
            # No interval but an hour's: what is posted is what is flushed.
            with provide(PeriodicExportingMetricReader(exporter, 3_600_000)) as provider:
                register(provider)
                accounts.count_recorded([build_event("clicks")])
                assert provider.force_flush(20_000)
        finally:
            taker.shutdown()
            thread.join()

    request = ExportMetricsServiceRequest.FromString(taker.bodies[0])
    (scope,) = request.resource_metrics[0].scope_metrics
    posted = {metric.name: metric for metric in scope.metrics}
    assert scope.scope.name == "django_topsort"
    recorded = posted["topsort.events.recorded"].sum
    assert recorded.is_monotonic
    clicks = {
        point.attributes[0].value.string_value: point.as_int for point in recorded.data_points
    }["clicks"]
    assert clicks == accounts.get_counts()["clicks"]["recorded"]


SET_UP = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="tests-only",
    INSTALLED_APPS=["django_topsort", "django_topsort.contrib.opentelemetry"],
    TOPSORT_API_KEY="TSE_tests",
    TOPSORT_BACKENDS={"default": "django_topsort.backends.locmem.EventBackend"},
)
django.setup()
"""


def test_app_registers_before_the_project_has_a_provider() -> None:
    said = run_code(
        SET_UP + "from opentelemetry import metrics\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "reader = InMemoryMetricReader()\n"
        "metrics.set_meter_provider(MeterProvider([reader]))\n"
        "print(reader.get_metrics_data().to_json())\n"
    ).stdout

    assert "topsort.events.recorded" in said


def test_app_needs_the_api_alone() -> None:
    assert (
        "opentelemetry.sdk" not in run_code(SET_UP + "import sys\nprint([*sys.modules])\n").stdout
    )


def test_forked_child_shows_its_own_figures() -> None:
    said = run_code(
        SET_UP + "import os, json\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "from django_topsort.contrib.opentelemetry.registering import register\n"
        "from django_topsort.tracking import record\n"
        "from tests.sending.engine import build_event\n"
        "reader = InMemoryMetricReader()\n"
        "provider = MeterProvider([reader])\n"
        "register(provider)\n"
        "def count():\n"
        "    one = json.loads(reader.get_metrics_data().to_json())\n"
        "    metrics = one['resource_metrics'][0]['scope_metrics'][0]['metrics']\n"
        "    points = metrics[0]['data']['data_points']\n"
        "    return {p['attributes']['kind']: p['value'] for p in points}['clicks']\n"
        "record(build_event('clicks'))\n"
        "record(build_event('clicks'))\n"
        "assert count() == 2, count()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    record(build_event('clicks'))\n"
        "    os._exit(count())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    ).stdout

    assert said == "1\n"


def test_registering_without_the_api_says_what_to_install() -> None:
    said = run_code(
        HIDE % "opentelemetry" + "try:\n"
        "    import django_topsort.contrib.opentelemetry.registering\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    ).stdout

    assert "django_topsort.contrib.opentelemetry needs opentelemetry-api" in said
