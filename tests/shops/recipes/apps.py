from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

WITH_RECEIVERS = ("payments", "stripe_events", "plans", "lfs")


class RecipesConfig(AppConfig):
    name = "tests.shops.recipes"
    label = "recipes"

    def ready(self) -> None:
        for name in WITH_RECEIVERS:
            import_module(f"shop.{name}")
