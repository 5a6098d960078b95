"""What ``prometheus_client`` asks at each scrape, and registering it.

With one process, that is the whole status. With several behind one address, an answer would come
from any of them: ``prometheus_client`` adds up what they have written into files then, and asks no
collector of theirs. So each process writes there (``mirroring.py``), and only what all of them
share is asked for at the scrape.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakSet

from django_topsort.contrib.prometheus.mirroring import mirror
from django_topsort.loading import require
from django_topsort.metrics import METRICS, SHARED_METRICS, Metric
from django_topsort.status import get_status

with require("prometheus_client", needed_by=__name__.rpartition(".")[0], extra="prometheus"):
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import Collector

PREFIX = "topsort_"

_registries: WeakSet[CollectorRegistry] = WeakSet()


class StatusCollector(Collector):
    """Yields the metrics, as they are at the moment; a scrape costs one query of the outbox."""

    def __init__(self, metrics: Iterable[Metric] = METRICS) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[Family]:
        """Yield a family for each metric that has something to say. Never raises."""
        status = get_status(left_out=False)
        for metric in self._metrics:
            family = _build_family(metric)
            for values, figure in metric.read(status):
                family.add_metric(values, figure)
            if family.samples:
                yield family

    def describe(self) -> Iterator[Family]:
        """Yield the families without figures: registering must not ask a database."""
        for metric in self._metrics:
            yield _build_family(metric)


class MirroredCollector(Collector):
    """Yields what all processes have written, of this package alone."""

    def collect(self) -> Iterator[Family]:
        """Write what this process knows, and yield what all of them have written."""
        mirror.write()
        written: Any = MultiProcessCollector(None)  # type: ignore[no-untyped-call]
        for family in written.collect():
            if family.name.startswith(PREFIX):
                yield family

    def describe(self) -> Iterator[Family]:
        """Yield nothing: what there is stands in the files."""
        return iter(())


def is_multiprocess() -> bool:
    """Whether ``prometheus_client`` adds up several processes, by their environment."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def register(registry: CollectorRegistry = REGISTRY) -> None:
    """Show the metrics in ``registry``; to say it twice does no harm.

    With ``PROMETHEUS_MULTIPROC_DIR``, each process writes its own figures for a
    ``MultiProcessCollector`` of the project's, and ``registry`` gets what all processes share.
    """
    is_several = is_multiprocess()
    if is_several:
        mirror.connect()
    if registry not in _registries:
        registry.register(StatusCollector(SHARED_METRICS if is_several else METRICS))
        _registries.add(registry)


def build_registry() -> CollectorRegistry:
    """Return a registry that has the metrics of this package, of all processes, and no others."""
    registry = CollectorRegistry()
    register(registry)
    if is_multiprocess():
        registry.register(MirroredCollector())
    return registry


def _build_family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)
