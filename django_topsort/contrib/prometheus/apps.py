"""The app that registers the metrics with ``prometheus_client``."""

from __future__ import annotations

from django.apps import AppConfig

from django_topsort.loading import require


class PrometheusConfig(AppConfig):
    """Add ``"django_topsort.contrib.prometheus"`` to ``INSTALLED_APPS``, and nothing else.

    Raises ModuleNotFoundError, which says what to install, where ``prometheus_client`` is absent.
    """

    name = "django_topsort.contrib.prometheus"
    label = "topsort_prometheus"
    verbose_name = "Topsort for Prometheus"

    def ready(self) -> None:
        with require("prometheus_client", needed_by=self.name, extra="prometheus"):
            import prometheus_client  # noqa: F401 - here, to say what is missing
        from django_topsort.contrib.prometheus.registering import register

        register()
