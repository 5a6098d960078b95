"""The app: connects what a Salesman shop does to what is reported."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from django_topsort.loading import require


class SalesmanConfig(AppConfig):
    """Add ``"django_topsort.contrib.salesman"`` to ``INSTALLED_APPS``, and nothing else."""

    name = "django_topsort.contrib.salesman"
    label = "topsort_salesman"
    verbose_name = _("Topsort for Salesman")

    def ready(self) -> None:
        from django_topsort.contrib.salesman import receivers, validators
        from django_topsort.contrib.salesman.reader import SalesmanOrderReader, get_code
        from django_topsort.purchases.registry import register_product_id, register_reader

        with require("salesman", needed_by=self.name, package="django-salesman"):
            from salesman.conf import app_settings

        register_reader(app_settings.SALESMAN_ORDER_MODEL, SalesmanOrderReader)
        for label in app_settings.SALESMAN_PRODUCT_TYPES:
            register_product_id(label, get_code)
        receivers.connect()
        validators.install()
