"""Checks of what the shopper's cookie is called, and of where browsers send it."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

from django.conf import settings

from django_topsort.checks.messages import build_error, show
from django_topsort.conf import topsort_settings

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

SAMESITE = ("lax", "strict", "none")
OTHERS = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "LANGUAGE_COOKIE_NAME")


def check_cookie_name(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require a name that a cookie may have, and that no other cookie of the site has."""
    name: object = topsort_settings.TOPSORT_COOKIE_NAME
    if not isinstance(name, str) or not _is_cookie_name(name):
        text = f"TOPSORT_COOKIE_NAME: {show(name)} is not allowed, no cookie can be called so."
        hint = (
            'Write TOPSORT_COOKIE_NAME = "tsuid": letters, digits, - and _, no blanks; that is'
            " what Topsort's own scripts call it."
        )
        return [build_error("E018", text, hint)]
    return [
        build_error(
            "E019",
            f"TOPSORT_COOKIE_NAME: {show(name)} is {other}, too: each would replace the other.",
            'Write TOPSORT_COOKIE_NAME = "tsuid", or any other name that is not taken.',
        )
        for other in OTHERS
        if getattr(settings, other, None) == name
    ]


def check_cookie_samesite(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require one of SameSite's three values, and Secure for the one that browsers demand it of."""
    value: object = topsort_settings.TOPSORT_COOKIE_SAMESITE
    if not isinstance(value, str) or value.lower() not in SAMESITE:
        text = (
            f"TOPSORT_COOKIE_SAMESITE: {show(value)} is not allowed, it must be one of"
            ' "Lax", "Strict", "None".'
        )
        hint = 'Write TOPSORT_COOKIE_SAMESITE = "Lax"; each is text, "None" as well.'
        return [build_error("E038", text, hint)]
    if value.lower() == "none" and topsort_settings.TOPSORT_COOKIE_SECURE is not True:
        text = (
            'TOPSORT_COOKIE_SAMESITE is "None", and browsers refuse such a cookie without Secure.'
        )
        hint = 'Write TOPSORT_COOKIE_SECURE = True, or TOPSORT_COOKIE_SAMESITE = "Lax".'
        return [build_error("E039", text, hint)]
    return []


def _is_cookie_name(name: str) -> bool:
    try:
        SimpleCookie()[name] = ""
    except CookieError:
        return False
    return name.isascii() and bool(name)
