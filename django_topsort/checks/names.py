"""Checks of the settings' names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from django_topsort.checks.messages import build_warning, suggest
from django_topsort.conf import SETTINGS

if TYPE_CHECKING:
    from django.core.checks import CheckMessage


def check_setting_names(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of ``TOPSORT_*`` names that nothing reads."""
    return [
        build_warning(
            "W009",
            f"{name} is no setting of django_topsort, so that nothing reads it.",
            _hint(name),
        )
        for name in sorted(dir(settings))
        if (name == "TOPSORT" or name.startswith("TOPSORT_")) and name not in SETTINGS
    ]


def _hint(name: str) -> str:
    names = sorted(SETTINGS)
    if name == "TOPSORT":
        # The habit of packages that keep all their settings in one dict.
        return f"Write each setting on its own: {', '.join(names)}."
    return suggest(name, names, "TOPSORT_") or f"Remove it, or write one of {', '.join(names)}."
