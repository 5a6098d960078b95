"""Checks of our place in ``MIDDLEWARE``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string

from django_topsort.checks.messages import build_warning

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

OURS = "django_topsort.middleware.TopsortMiddleware"


def check_middleware(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn when the middleware is missing, or when others stand before it."""
    paths: object = settings.MIDDLEWARE
    listed = list(paths) if isinstance(paths, list | tuple) else []
    places = [place for place, path in enumerate(listed) if _is_ours(path)]
    if not places:
        text = (
            "The middleware is missing: events are sent one by one while a page is made, also of"
            " pages that fail, and the shopper's cookie is never set."
        )
        return [build_warning("W006", text, f'Put "{OURS}" first in MIDDLEWARE.')]
    found: list[CheckMessage] = []
    if places[0] > 0:
        text = (
            f"The middleware stands behind {listed[0]}: it does not see the responses that those"
            " before it make or replace."
        )
        hint = f'Put "{OURS}" first in MIDDLEWARE; it needs none of the others before it.'
        found.append(build_warning("W007", text, hint))
    if len(places) > 1:
        text = "The middleware stands in MIDDLEWARE more than once."
        found.append(build_warning("W008", text, "Leave it in the first place only."))
    return found


def _is_ours(path: object) -> bool:
    """Whether ``path`` names the middleware or a subclass of it."""
    if path == OURS:
        return True
    try:
        found = import_string(path)  # type: ignore[arg-type]  # raises for what is no text
    except Exception:
        return False  # the server says so
    # By its name: one door does not import another.
    return any(
        f"{one.__module__}.{one.__qualname__}" == OURS for one in getattr(found, "__mro__", ())
    )
