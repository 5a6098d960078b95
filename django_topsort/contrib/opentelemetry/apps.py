"""The app that registers the metrics with OpenTelemetry."""

from __future__ import annotations

from django.apps import AppConfig

from django_topsort.loading import require


class OpenTelemetryConfig(AppConfig):
    """Add ``"django_topsort.contrib.opentelemetry"`` to ``INSTALLED_APPS``, and nothing else.

    Raises ModuleNotFoundError, which says what to install, where ``opentelemetry-api`` is absent.
    """

    name = "django_topsort.contrib.opentelemetry"
    label = "topsort_opentelemetry"
    verbose_name = "Topsort for OpenTelemetry"

    def ready(self) -> None:
        with require(
            "opentelemetry",
            needed_by=self.name,
            package="opentelemetry-api",
            extra="opentelemetry",
        ):
            import opentelemetry.metrics  # noqa: F401 - here, to say what is missing
        from django_topsort.contrib.opentelemetry.registering import register

        register()
