"""The shop's own app: what it sells, and how it is paid."""

from __future__ import annotations

from django.apps import AppConfig


class CatalogueConfig(AppConfig):
    name = "tests.shops.salesman"
    label = "catalogue"
