"""Checks of the API key: that there is one, and that it is nowhere but in ``TOPSORT_API_KEY``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import LazySettings, settings
from django.utils.module_loading import import_string

from django_topsort.checks.backends import is_sending
from django_topsort.checks.hooks import check_hook
from django_topsort.checks.messages import build_error, build_warning, get_written_key
from django_topsort.conf import DOTTED_PATH, topsort_settings

if TYPE_CHECKING:
    from django.core.checks import CheckMessage
    from django.http import HttpRequest

KEY_HINT = (
    "Set TOPSORT_API_KEY to the marketplace's API key (it starts with TSE_), from an environment"
    " variable, for one; the key stays out of the repository."
)
DO_WITHOUT = (
    "To do without in development, write"
    ' TOPSORT_BACKENDS = {"default": "django_topsort.backends.console.EventBackend"}.'
)
MISSING = "TOPSORT_API_KEY is not set, so that no event can be sent."
MAX_DEPTH = 8
MIN_TOKEN = 16


def check_api_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require a key that can be sent; a function that returns it is looked at and not called.

    Without one this only warns: a build that collects static files, or migrates, needs no key.
    """
    value: object = topsort_settings.TOPSORT_API_KEY
    if value is None or value == "":
        return [build_warning("W011", MISSING, f"{KEY_HINT} {DO_WITHOUT}")] if is_sending() else []
    if callable(value):
        return check_hook("TOPSORT_API_KEY")
    if not isinstance(value, str):
        text = f"TOPSORT_API_KEY is no text and no function, but of type {type(value).__name__}."
        return [build_error("E002", text, KEY_HINT)]
    if not value.isascii() or not value.isprintable() or " " in value:
        text = "TOPSORT_API_KEY holds blanks, line ends or other characters that no key has."
        return [build_error("E003", text, f"{KEY_HINT} Leave the blanks out: strip() it.")]
    if value.startswith("TSE_"):
        return []
    if DOTTED_PATH.fullmatch(value):
        return check_hook("TOPSORT_API_KEY")
    text = "TOPSORT_API_KEY does not start with TSE_: Topsort takes events with no other key."
    return [build_warning("W001", text, KEY_HINT)]


def check_metrics_token(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require that nobody guesses what opens the page with the metrics; it is not shown."""
    token: object = topsort_settings.TOPSORT_METRICS_TOKEN
    if token == "" or (isinstance(token, str) and len(token) >= MIN_TOKEN and token.isascii()):
        return []
    given = f"{len(token)} characters" if isinstance(token, str) else f"a {type(token).__name__}"
    text = (
        f"TOPSORT_METRICS_TOKEN is {given}, it must be a text of {MIN_TOKEN} or more ASCII"
        " characters, or empty."
    )
    hint = "Make one with  python -c 'import secrets; print(secrets.token_urlsafe())'."
    return [build_error("E070", text, hint)]


def check_api_key_is_set(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require a key where the shop is about to be deployed."""
    value: object = topsort_settings.TOPSORT_API_KEY
    if (value is None or value == "") and is_sending():
        return [build_error("E001", MISSING, KEY_HINT)]
    return []


def check_other_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of settings that hold the API key, too: they may be printed, or sent to a browser."""
    key = get_written_key()
    if key is None:
        return []
    return [
        build_warning(
            "W002",
            f"{name} holds the API key, too, and may be shown where TOPSORT_API_KEY is not.",
            f"Keep the key in TOPSORT_API_KEY alone, and take it out of {name}.",
        )
        for name in sorted(dir(settings))
        if name.isupper() and name != "TOPSORT_API_KEY" and settings.is_overridden(name)
        if holds(_read(name), key)
    ]


def check_context_processors(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of context processors that give the API key to every template.

    The project's own are called, with a request for ``/`` by nobody in particular; what raises is
    passed over.
    """
    key = get_written_key()
    if key is None:
        return []
    request = build_request()
    return [
        build_warning(
            "W003",
            f"The context processor {path} gives the API key to the templates, and so to any page.",
            f"Take it out of what {path} returns; pages never need the key.",
        )
        for path in get_context_processors()
        if holds(_call(path, request), key)
    ]


def holds(value: object, key: str, depth: int = MAX_DEPTH) -> bool:
    """Whether ``key`` stands somewhere in a plain value, or in what lists and dicts hold."""
    # By its type: isinstance() would evaluate a lazy object, and that may query a database.
    kind = type(value)
    if issubclass(kind, str):
        return str.__contains__(cast("str", value), key)
    if issubclass(kind, bytes):
        return bytes.__contains__(cast("bytes", value), key.encode())
    if issubclass(kind, LazySettings | ModuleType):
        # {"settings": settings} is enough for a template to print it.
        return holds(getattr(value, "TOPSORT_API_KEY", None), key)
    if depth == 0:
        return False
    try:
        if issubclass(kind, Mapping):
            parts = [part for pair in value.items() for part in pair]  # type: ignore[attr-defined]
        elif issubclass(kind, list | tuple | set | frozenset):
            parts = list(value)  # type: ignore[call-overload]
        else:
            return False
    except Exception:
        return False  # a mapping of the project's own
    return any(holds(part, key, depth - 1) for part in parts)


def get_context_processors() -> list[str]:
    """Return the dotted paths of the project's context processors, each once."""
    engines: object = settings.TEMPLATES
    found: dict[str, None] = {}
    for engine in engines if isinstance(engines, list | tuple) else ():
        options = engine.get("OPTIONS") if isinstance(engine, dict) else None
        paths = options.get("context_processors") if isinstance(options, dict) else None
        for path in paths if isinstance(paths, list | tuple) else ():
            if isinstance(path, str) and not path.startswith("django."):
                found[path] = None
    return list(found)


def build_request() -> HttpRequest:
    """Return a request for ``/`` such as a context processor may expect, and that is no visit."""
    from django.test import RequestFactory  # loads the test framework

    allowed: object = settings.ALLOWED_HOSTS
    names = [str(name).lstrip(".") for name in allowed] if isinstance(allowed, list | tuple) else []
    host = next((name for name in names if name not in ("", "*")), "localhost")
    # A crawler's: a context processor that reports a page view must not do it now.
    agent = "django-topsort system check bot"
    request = RequestFactory(SERVER_NAME=host, HTTP_USER_AGENT=agent).get("/")
    request.session = {}  # type: ignore[assignment]
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import AnonymousUser

        request.user = AnonymousUser()
    return request


def _read(name: str) -> object:
    """Return a setting of whomever, or None where Django refuses it (an empty SECRET_KEY)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that Django has deprecated
            return getattr(settings, name)
    except Exception:
        return None


def _call(path: str, request: HttpRequest) -> object:
    try:
        return import_string(path)(request)
    except Exception:
        return None
