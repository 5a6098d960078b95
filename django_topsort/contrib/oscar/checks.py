"""The check of where this app stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps

from django_topsort.checks.messages import build_warning

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

OURS = "django_topsort.contrib.oscar"


def check_place(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require that this app stands before Oscar, whose templates it adds to."""
    names = [config.name for config in apps.get_app_configs()]
    if OURS not in names or "oscar" not in names or names.index(OURS) < names.index("oscar"):
        return []
    text = (
        f"INSTALLED_APPS: {OURS} stands behind oscar, whose templates are found first: product"
        " lists report no impressions, and most pages no page view."
    )
    hint = f'Put "{OURS}" before "oscar.config.Shop", as "django_topsort" may be.'
    return [build_warning("W015", text, hint)]
