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
        from django_topsort.checks import CHECKS, DEPLOY_CHECKS

        receivers.connect()
        celery.connect()
        for check in CHECKS:
            register(check, "topsort")
        for check in DEPLOY_CHECKS:
            register(check, "topsort", deploy=True)
