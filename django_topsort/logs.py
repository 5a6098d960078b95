"""What a line of the log says, in fields for programs: ``record.topsort``.

A line is made of words and ``key=value`` pairs, and so are its fields. Nothing stands in a field
that does not stand in the line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from django_topsort.conf import topsort_settings

if TYPE_CHECKING:
    from django_topsort.exceptions import ApiError

# Compiled with the first line: a process starts faster without.
PAIR = r"(\w+)=(%s|[^\s%;:,]+)"
PLACE = r"(?:(\w+)=)?%s"
SIGNS = r"[;:,.?(]|%s"
PLAIN = (str, int, float, bool, type(None))


class Said(str):
    """A text that programs get in parts: ``fields`` stand beside it, or in its place."""

    __slots__ = ("fields",)

    fields: dict[str, Any]

    def __new__(cls, text: str, **fields: Any) -> Self:
        """Return ``text`` with its ``fields``."""
        said = super().__new__(cls, text)
        said.fields = fields
        return said


class _Shape(NamedTuple):
    """What is the same in all lines of one message: its event, words, and the keys of values."""

    event: str
    words: dict[str, str]
    keys: tuple[str, ...]  # "" where a value has none


def build_fields(message: str, values: Sequence[object]) -> dict[str, Any]:
    """Return the fields of a line: its ``event``, and what it says by key.

    ``event`` is how the line begins, up to its first pair: ``"order_not_reported"``. Numbers stay
    numbers, all else is text; what has no key in the line is ``detail``.
    """
    shape = _read_shape(message)
    fields: dict[str, Any] = {"event": shape.event, **shape.words}
    details = []
    for key, value in zip(shape.keys, values, strict=False):
        plain = value if isinstance(value, PLAIN) else str(value)
        if key:
            fields[key] = str(plain) if isinstance(value, Said) else plain
        elif text := str(plain).strip():
            details.append(text)
        if isinstance(value, Said):
            fields.update(value.fields)
    if details:
        fields["detail"] = " ".join(details)
    return fields


@lru_cache(maxsize=256)
def _read_shape(message: str) -> _Shape:
    starts = (part.strip() for part in re.split(SIGNS, re.sub(PAIR, ";", message)))
    words = re.findall(r"\w+", next(filter(None, starts), "").replace("'", ""))
    return _Shape(
        event="_".join(words).lower(),
        words={_spell(key): value for key, value in re.findall(PAIR, message) if value != "%s"},
        keys=tuple(_spell(key) for key in re.findall(PLACE, message)),
    )


def _spell(key: str) -> str:
    """Return a key as Python spells names: ``errCode`` is ``err_code``."""
    return key if key.isupper() else re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key)


class FieldLogger(logging.LoggerAdapter[logging.Logger]):
    """A module's logger whose records have fields."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log ``msg`` as ``logging.Logger.log`` does."""
        if self.isEnabledFor(level):
            kwargs["extra"] = {"topsort": build_fields(str(msg), args)}
            # The caller is the one above, as for any line of any logger.
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            self.logger.log(level, msg, *args, **kwargs)


def describe_error(error: ApiError) -> Said:
    """Return what a line says of an error: its status, its code and Topsort's words."""
    text = f"{error} docUrl={error.doc_url}" if error.doc_url else str(error)
    parts = {"status": error.status, "err_code": error.err_code, "doc_url": error.doc_url}
    return Said(text, **{name: value for name, value in parts.items() if value})


def explain_error(error: ApiError) -> str:
    """Return what an error means, in words for a person."""
    return error.explain(_get_origin(), topsort_settings.TOPSORT_TIMEOUT)


def _get_origin() -> str:
    """Return the scheme and host of ``TOPSORT_API_URL``: the key may stand in all the rest."""
    scheme, _, rest = str(topsort_settings.TOPSORT_API_URL).partition("://")
    host = re.split(r"[/?#\\\s]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{'http' if scheme == 'http' else 'https'}://{host}"
