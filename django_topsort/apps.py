"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register


class TopsortConfig(AppConfig):
    """Connects the receivers and registers the checks; starts nothing and reads no setting."""

    name = "django_topsort"
    verbose_name = "Topsort"

    def ready(self) -> None:
        from django_topsort import celery, receivers
        from django_topsort.checks import check_deployment, check_settings

        receivers.connect()
        celery.connect()
        register(check_settings, "topsort")
        register(check_deployment, "topsort", deploy=True)
