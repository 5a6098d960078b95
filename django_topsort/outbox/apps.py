"""The optional app's place among Django's apps."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy as _


class OutboxConfig(AppConfig):
    """Add ``"django_topsort.outbox"`` to ``INSTALLED_APPS`` and migrate."""

    name = "django_topsort.outbox"
    label = "topsort_outbox"
    verbose_name = _("Topsort outbox")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The latter looks at the databases' names, before any test gives them others.
        from django_topsort.outbox import testruns  # noqa: F401
        from django_topsort.outbox.checks import check_outbox_table

        register(check_outbox_table, Tags.database)
