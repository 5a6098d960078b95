"""Writing what one process knows to where ``prometheus_client`` adds up all of them.

A thread does it every few seconds. Signals of ours would not do: there is none for each figure,
none comes while nothing but time passes, which is when ``topsort_oldest_seconds`` grows, and each
would cost the page that sends it.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from typing import Any

from django.core.signals import request_started

from django_topsort.loading import Loading, require
from django_topsort.metrics import PROCESS_METRICS, Metric
from django_topsort.signals import events_delivered, events_dropped, events_rejected
from django_topsort.status import get_process_status

with require("prometheus_client", needed_by=__name__.rpartition(".")[0], extra="prometheus"):
    from prometheus_client import Counter, Gauge

INTERVAL = 5.0  # seconds between two writings: less than between two scrapes
# Of processes that run. What has ended does not wait and is not paused; when Topsort was heard of
# last does not depend on who has heard it.
MODES = {"sum": "livesum", "max": "livemax"}
LASTING = {"topsort_last_success_at", "topsort_last_error_at"}


class Mirror:
    """Writes the figures of this process every ``INTERVAL`` seconds, from its first request on."""

    def __init__(self) -> None:
        # A fork waits until nothing is being written: it would copy locks that nobody lets go.
        self._writing = Loading()
        self._metrics: dict[str, Counter | Gauge] = {}
        self._written: dict[tuple[str, ...], float] = {}
        self._written_by = 0  # processes, by their ids
        self._started_in = 0
        self._written_at = 0.0
        self._is_ending = False

    def connect(self) -> None:
        """Begin with the first request, or with the first events that have left without one.

        Not at once: a server may fork its processes later, and a thread does not come along.
        """
        request_started.connect(self.handle_signal)
        for signal in (events_delivered, events_rejected, events_dropped):
            signal.connect(self.handle_signal)

    def handle_signal(self, **kwargs: object) -> None:
        """See to it that this process writes. Never raises."""
        if self._started_in != os.getpid():
            self._start()
        elif self._is_ending or time.monotonic() - self._written_at > 3 * INTERVAL:
            # The last events leave when threads have ended; or they do not run, as under uWSGI
            # without --enable-threads.
            self.write()

    def write(self) -> None:
        """Write the figures now. Never raises."""
        with suppress(Exception), self._writing.lock:
            self._written_at = time.monotonic()
            if self._written_by != os.getpid():
                # From zero, as prometheus_client and the accounts do in a child.
                self._written_by = os.getpid()
                self._written = {}
            status = get_process_status()
            for metric in PROCESS_METRICS:
                for values, figure in metric.read(status):
                    self._set(metric, values, figure)

    def _start(self) -> None:
        with suppress(Exception), self._writing.lock:
            if self._started_in == os.getpid():
                return
            self._started_in = os.getpid()
            self._is_ending = False
            self.write()
            atexit.unregister(self._end)
            atexit.register(self._end)
            threading.Thread(target=self._work, name="topsort-metrics", daemon=True).start()

    def _work(self) -> None:
        pid = os.getpid()
        while self._started_in == pid and not self._is_ending:
            time.sleep(INTERVAL)
            self.write()

    def _end(self) -> None:
        self._is_ending = True
        self.write()

    def _set(self, metric: Metric, values: tuple[str, ...], figure: float) -> None:
        known: Any = self._metrics.get(metric.name)
        if known is None:
            known = self._metrics[metric.name] = _build(metric)
        if values:
            known = known.labels(*values)
        if not metric.is_counter:
            known.set(figure)
            return
        # By what was added since: a counter cannot be set.
        key = (metric.name, *values)
        known.inc(figure - self._written.get(key, 0))
        self._written[key] = figure


def _build(metric: Metric) -> Counter | Gauge:
    if metric.is_counter:
        return Counter(metric.name, metric.help, metric.labels, registry=None)
    mode: Any = "max" if metric.name in LASTING else MODES[metric.across]
    return Gauge(metric.name, metric.help, metric.labels, registry=None, multiprocess_mode=mode)


mirror = Mirror()
