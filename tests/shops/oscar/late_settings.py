"""The same shop with our app behind Oscar, whose templates are then found first."""

from __future__ import annotations

from tests.shops.oscar.settings import *  # noqa: F403

OURS = "django_topsort.contrib.oscar"
INSTALLED_APPS = [*(app for app in INSTALLED_APPS if app != OURS), OURS]  # noqa: F405
