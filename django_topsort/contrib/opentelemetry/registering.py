"""The metrics as OpenTelemetry's observable instruments: asked whenever a reader wants them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from weakref import WeakSet

from django_topsort import __version__
from django_topsort.loading import require
from django_topsort.metrics import METRICS, PROCESS_METRICS, Metric
from django_topsort.status import get_process_status, get_status

with require(
    "opentelemetry",
    needed_by=__name__.rpartition(".")[0],
    package="opentelemetry-api",
    extra="opentelemetry",
):
    from opentelemetry.metrics import (
        CallbackOptions,
        Meter,
        MeterProvider,
        Observation,
        get_meter_provider,
    )

SAME_SECONDS = 0.5  # a reader asks one instrument after the other: one status serves all of them

_providers: WeakSet[MeterProvider] = WeakSet()


def register(provider: MeterProvider | None = None, *, outbox: bool = True) -> None:
    """Observe the metrics with a meter of ``provider``, the global one by default.

    To say it twice does no harm. ``outbox``: whether to show also what is in the outbox, which
    costs a query whenever the metrics are read. All processes would show the same of it, so that
    with many of them one is enough.
    """
    provider = provider or get_meter_provider()
    if provider in _providers:
        return
    _providers.add(provider)
    meter = provider.get_meter("django_topsort", __version__)
    source = _Source(partial(get_status, left_out=False) if outbox else get_process_status)
    for metric in METRICS if outbox else PROCESS_METRICS:
        _observe(meter, metric, source)


class _Source:
    """The status, as it was when the first instrument of a reading was asked."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._status: dict[str, Any] = {}
        self._read_at = 0.0

    def get_status(self) -> dict[str, Any]:
        with self._lock:
            is_ours = self._status.get("pid") == os.getpid()
            if not is_ours or time.monotonic() - self._read_at > SAME_SECONDS:
                self._status = self._read()
                self._read_at = time.monotonic()
            return self._status


def _observe(meter: Meter, metric: Metric, source: _Source) -> None:
    def observe(options: CallbackOptions) -> Iterable[Observation]:
        for values, figure in metric.read(source.get_status()):
            yield Observation(figure, dict(zip(metric.labels, values, strict=True)))

    make: Any = meter.create_observable_gauge
    if metric.is_counter:
        make = meter.create_observable_counter
    elif metric.across == "sum":
        make = meter.create_observable_up_down_counter  # of several processes it is a sum
    make(metric.dotted, callbacks=[observe], unit=metric.unit, description=metric.help)
