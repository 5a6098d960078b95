"""All checks, in the order in which they speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_topsort.checks.addresses import check_api_url
from django_topsort.checks.backends import (
    check_backends,
    check_backends_report,
    check_engine_queue,
    check_overflow,
    check_purchases_are_safe,
)
from django_topsort.checks.browser import check_browser_values, check_cache_is_shared
from django_topsort.checks.cookies import check_cookie_name, check_cookie_samesite
from django_topsort.checks.credentials import (
    check_api_key,
    check_api_key_is_set,
    check_context_processors,
    check_metrics_token,
    check_other_settings,
)
from django_topsort.checks.hooks import check_hooks
from django_topsort.checks.middleware import check_middleware
from django_topsort.checks.names import check_setting_names
from django_topsort.checks.values import (
    check_file_path,
    check_link_users,
    check_strict,
    check_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.core.checks import CheckMessage

CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (
    check_api_key,
    check_other_settings,
    check_metrics_token,
    check_api_url,
    check_backends,
    check_overflow,
    check_hooks,
    check_values,
    check_browser_values,
    check_file_path,
    check_link_users,
    check_cookie_name,
    check_cookie_samesite,
    check_middleware,
    check_setting_names,
)

# Only with `manage.py check --deploy`: what is right while a shop is developed or tested, or costs
# more than a look at the settings.
DEPLOY_CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (
    check_api_key_is_set,
    check_backends_report,
    check_engine_queue,
    check_purchases_are_safe,
    check_cache_is_shared,
    check_context_processors,
    check_strict,
)
