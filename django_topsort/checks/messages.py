"""How a check says what it found: with its id, with a hint, and never with the API key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from django.core.checks import Error, Warning  # noqa: A004 - Django's name for it

from django_topsort.conf import topsort_settings

MASK = "********"
MAX_SHOWN = 80  # characters of a value
MIN_SECRET = 8  # characters; a shorter text is no key, and would be found in any other


def get_written_key() -> str | None:
    """Return the API key where it stands in the settings; None where a function returns it."""
    value = topsort_settings.TOPSORT_API_KEY
    if not isinstance(value, str):
        return None
    key = str.__str__(value).strip()
    return key if len(key) >= MIN_SECRET or (key.startswith("TSE_") and key != "TSE_") else None


def build_error(name: str, text: str, hint: str) -> Error:
    """Return an error with the id ``django_topsort.<name>``."""
    return Error(hide_key(text), hint=hide_key(hint), id=f"django_topsort.{name}")


def build_warning(name: str, text: str, hint: str) -> Warning:
    """Return a warning with the id ``django_topsort.<name>``."""
    return Warning(hide_key(text), hint=hide_key(hint), id=f"django_topsort.{name}")


def hide_key(text: str) -> str:
    """Return ``text`` with the API key, where it stands in it, replaced."""
    key = get_written_key()
    if key is None:
        return text
    for written in (key, repr(key)[1:-1]):
        text = text.replace(written, MASK)
    return text


def show(value: object) -> str:
    """Return ``repr(value)`` without the API key, at most 80 characters of it."""
    try:
        text = hide_key(repr(value))
    except Exception:
        text = f"<{type(value).__name__}>"
    # Only now: a key that is cut in two would no longer be found.
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def suggest(name: object, names: Iterable[str], prefix: str = "") -> str:
    """Return ``"Did you mean ...?"`` where one of ``names`` is close, else an empty text.

    ``prefix``: what all of them begin with; any two would look alike for it.
    """
    rests = [known.removeprefix(prefix) for known in names]
    close = difflib.get_close_matches(str(name).removeprefix(prefix), rests, n=1)
    return f"Did you mean {prefix}{close[0]}?" if close else ""
