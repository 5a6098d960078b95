"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from django_topsort.loading import require


class OscarConfig(AppConfig):
    """Connects Oscar's signals, and says how its orders are read and its products named."""

    name = "django_topsort.contrib.oscar"
    label = "topsort_oscar"  # the last part of the name is the label of Oscar itself
    verbose_name = "Topsort for Oscar"

    def ready(self) -> None:
        from django_topsort.contrib.oscar import receivers
        from django_topsort.contrib.oscar.checks import check_place
        from django_topsort.contrib.oscar.reader import OscarOrderReader, get_product_id
        from django_topsort.purchases.registry import register_product_id, register_reader

        with require("oscar", needed_by=self.name, package="django-oscar"):
            from oscar.core.loading import get_model

        # By their labels, which a shop's own copies of Oscar's apps share.
        register_reader(get_model("order", "Order")._meta.label, OscarOrderReader)
        register_product_id(get_model("catalogue", "Product")._meta.label, get_product_id)
        receivers.connect()
        register(check_place, "topsort")
