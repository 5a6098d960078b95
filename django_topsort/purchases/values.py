"""One value of a product or an order, in whatever shape a shop keeps it: an id, a currency."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet

MAX_SHOWN = 64  # characters of an order's number in a log


class Absent:
    """The type of ``ABSENT``."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


def get_value(owner: object, name: str) -> object:
    """Return what ``owner`` has under ``name``, or ``ABSENT``.

    A dotted name is followed (``"event.currency"``). Mappings have keys only: the ``items`` of a
    dict are not its lines. A method that takes no arguments is called, a manager read with
    ``all()``. A related object that is gone counts as absent.
    """
    for part in name.split("."):
        owner = _get_part(owner, part)
    return owner


def _get_part(owner: object, name: str) -> object:
    if isinstance(owner, Mapping):
        return owner.get(name, ABSENT)
    try:
        value = _get_attribute(owner, name)
    except ObjectDoesNotExist:
        return ABSENT
    # A related manager can be called as well, with an argument, so it is looked for first.
    read_all = _get_attribute(value, "all")
    if inspect.isroutine(read_all):
        return _read_beside(owner, read_all())
    if inspect.isroutine(value):
        return value() if _is_getter(value) else ABSENT
    return value


def _get_attribute(owner: object, name: str) -> Any:
    try:
        return getattr(owner, name, ABSENT)
    except (LookupError, TypeError, ValueError):
        # A ``__getattr__`` that looks into a dict says so of each name that it does not know. Of a
        # name that the owner has, it is a fault in the shop's own property.
        if inspect.getattr_static(owner, name, ABSENT) is not ABSENT:
            raise
        return ABSENT


def _read_beside(owner: object, rows: object) -> object:
    """Return related rows, of the database that ``owner`` is from: a replica may lag behind it."""
    if isinstance(owner, Model) and isinstance(rows, QuerySet):
        alias = owner._state.db
        if alias is not None and rows.db != alias:
            return rows.using(alias)
    return rows


def _is_getter(method: Callable[..., Any]) -> bool:
    """Whether ``method`` can be called without arguments, and does not alter data by that."""
    if getattr(method, "alters_data", False):
        return False
    try:
        inspect.signature(method).bind()
    except (TypeError, ValueError):
        return False
    return True


def is_empty(value: object) -> bool:
    """Whether ``value`` says nothing: absent, None or blank text."""
    # Not by comparing with "": some Money types raise when they are compared with anything else.
    return value is ABSENT or value is None or (isinstance(value, str) and not value.strip())


def read_id(value: object) -> str | None:
    """Return the id that ``value`` is, or has as ``pk`` or ``id``; None where there is none."""
    if isinstance(value, Model):
        value = value.pk  # as below, in a tenth of the time: a page has dozens of products
    elif not is_plain_id(value):
        value = find_own_id(value)[1]
    if value is None or isinstance(value, bool):
        return None
    return str(value).strip() or None


def find_own_id(owner: object) -> tuple[str, object]:
    """Return under which name ``owner`` has an id of its own, and that id; ``("", None)``: none."""
    found = ((name, get_value(owner, name)) for name in ("pk", "id"))
    return next((pair for pair in found if pair[1] is not ABSENT), ("", None))


def show_key(key: str) -> str:
    """Return an order's number as a log may show it: of one line, and of 64 characters at most."""
    return "".join(char if char.isprintable() else "?" for char in key[:MAX_SHOWN])


def is_plain_id(value: object) -> bool:
    """Whether ``value`` is an id by itself, and not something that has one."""
    return isinstance(value, str | int | UUID)


def read_currency(value: object) -> str | None:
    """Return the code of a currency (``"EUR"``), given as text or as an object with a ``code``."""
    if is_empty(value):
        return None
    code = get_value(value, "code")
    return str(value if code is ABSENT else code).strip().upper() or None
