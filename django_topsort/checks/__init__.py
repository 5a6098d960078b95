"""The system checks: one module per subject, each setting of ``conf.SETTINGS`` looked at by one.

A check reads settings and imports what they name. Whatever the settings hold, it does not raise,
makes no network call, does not call the function that returns the API key, and does not show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.core.checks import CheckMessage


# What looks at the settings is imported when Django asks: a server that starts does not.
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings."""
    from django_topsort.checks.subjects import CHECKS

    return [message for check in CHECKS for message in check(**kwargs)]


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    """Return what is not as a shop should be deployed: only with ``manage.py check --deploy``."""
    from django_topsort.checks.subjects import DEPLOY_CHECKS

    return [message for check in DEPLOY_CHECKS for message in check(**kwargs)]
