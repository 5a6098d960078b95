"""Finding orders in the database: one by its number, and all since a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CompositePrimaryKey, Q
from django.utils import timezone

from django_topsort.purchases.amounts import parse_time
from django_topsort.purchases.buyers import get_order_key
from django_topsort.purchases.names import OrderNames
from django_topsort.purchases.reader import OrderReader, get_reader

MOST_SHOWN = 5  # orders or names in a message


class OrderNotFound(LookupError):
    """There is no such model, order, field or day; its text says so, and what there is."""


class FoundOrder(NamedTuple):
    """An order, ``how`` it was found, and what else the same key might have meant."""

    order: models.Model
    how: str
    note: str


class Place(NamedTuple):
    """Where a walk through orders is: behind the order of this time and this primary key."""

    moment: datetime | date
    key: Any


def get_order_model(label: str) -> type[models.Model]:
    """Return the model of a label such as ``shop.Order``, in any case.

    Raises OrderNotFound, which names labels that are near.
    """
    models_by_label = {model._meta.label.lower(): model for model in apps.get_models()}
    name = label.lower()
    if name in models_by_label:
        return models_by_label[name]
    labels = {one: model._meta.label for one, model in models_by_label.items()}
    near = [one for one in labels if one.rpartition(".")[2] == name.rpartition(".")[2]]
    near += [one for one in get_close_matches(name, labels, MOST_SHOWN) if one not in near]
    hint = f"; near to it: {', '.join(labels[one] for one in near)}" if near else ""
    raise OrderNotFound(f"there is no model {label!r}, written as app_label.ModelName{hint}")


def find_order(
    model: type[models.Model], key: str, using: str, *, by_primary_key: bool = False
) -> FoundOrder:
    """Return the order whose number is ``key``, or else whose primary key it is.

    Raises OrderNotFound where there is none, and where several bear the number.
    """
    rows = model._base_manager.using(using)
    by_key = _find_by_primary_key(model, rows, key)
    numbered = [] if by_primary_key else _find_by_number(model, rows, key)
    if len(numbered) > 1:
        keys = ", ".join(write_key(order.pk) for order in numbered[:MOST_SHOWN])
        raise OrderNotFound(
            f"the number {key!r} is of several orders; give the primary key of one, --pk: {keys}"
        )
    if numbered:
        order = numbered[0]
        note = ""
        if by_key is not None and by_key.pk != order.pk:
            number = get_order_key(by_key)
            note = f"{key!r} is the primary key of another order, {number!r}: --pk takes that one"
        return FoundOrder(order, "number", note)
    if by_key is not None:
        return FoundOrder(by_key, "primary key", "")
    raise OrderNotFound(
        f"no {model._meta.label} in the database {using!r} has the number or the primary key"
        f" {key!r}. Numbers are looked for in: {', '.join(_get_key_columns(model)) or 'no column'};"
        " one that a method of the reader makes cannot be looked for: give the primary key"
    )


def _find_by_number(
    model: type[models.Model], rows: models.QuerySet[Any], key: str
) -> list[models.Model]:
    found: dict[Any, models.Model] = {}
    for name in _get_key_columns(model):
        try:
            orders = list(rows.filter(**{name: key})[:100])
        except (ValueError, ValidationError):
            continue  # a column of numbers, or of UUIDs
        found.update({order.pk: order for order in orders if get_order_key(order) == key})
    return list(found.values())


def _get_key_columns(model: type[models.Model]) -> list[str]:
    names = [name for name in _get_names(model).key_names if name != "pk"]
    columns = {field.name for field in model._meta.concrete_fields if not field.primary_key}
    return [name for name in names if name in columns]


def _find_by_primary_key(
    model: type[models.Model], rows: models.QuerySet[Any], text: str
) -> models.Model | None:
    try:
        found: models.Model | None = rows.filter(pk=read_key(model, text)).first()
    except (ValueError, ValidationError, OverflowError):
        return None
    return found


def _get_names(model: type[models.Model]) -> OrderNames:
    reader = get_reader(model())  # which reader it is may depend on the model
    return reader if isinstance(reader, OrderReader) else OrderNames()


def write_key(key: Any) -> str:
    """Return a primary key as a command takes it: a composite one as a JSON list."""
    return json.dumps(key, cls=DjangoJSONEncoder) if isinstance(key, tuple) else str(key)


def read_key(model: type[models.Model], text: str) -> Any:
    """Return the primary key that ``write_key`` wrote. Raises ValueError or ValidationError."""
    if not isinstance(model._meta.pk, CompositePrimaryKey):
        return model._meta.pk.to_python(text)
    parts = json.loads(text)
    if not isinstance(parts, list) or len(parts) != len(model._meta.pk_fields):
        raise ValueError("it must be a JSON list of the key's parts")
    fields = zip(model._meta.pk_fields, parts, strict=True)
    return tuple(field.to_python(part) for field, part in fields)


def get_date_field(model: type[models.Model], name: str = "") -> models.DateField[Any, Any]:
    """Return the column that says when an order was placed: ``name``, or the reader's first.

    Raises OrderNotFound where there is none.
    """
    names = [name] if name else _get_names(model).placed_at_names
    for one in names:
        try:
            column = model._meta.get_field(one)
        except FieldDoesNotExist:
            continue
        if isinstance(column, models.DateField):
            return column
    columns = [one.name for one in model._meta.concrete_fields if isinstance(one, models.DateField)]
    there = f"it has {', '.join(columns)}" if columns else "it has none"
    missing = f"called {name!r}" if name else "under a name that the reader knows"
    raise OrderNotFound(
        f"{model._meta.label} has no column of dates {missing}; --date-field names one: {there}"
    )


def write_place(place: Place) -> str:
    """Return a place as ``--after`` takes it."""
    return f"{place.moment.isoformat()}/{write_key(place.key)}"


def read_place(model: type[models.Model], field: models.DateField[Any, Any], text: str) -> Place:
    """Return the place that ``write_place`` wrote. Raises OrderNotFound for what is none."""
    moment, slash, key = text.partition("/")
    try:
        if slash:
            return Place(read_moment(field, moment), read_key(model, key))
    except (ValueError, ValidationError):
        pass
    raise OrderNotFound(f"{text!r} is no place to go on from: <time>/<primary key>, as was printed")


def read_moment(field: models.DateField[Any, Any], text: str) -> datetime | date:
    """Return the time or day in ISO text, as the column keeps it.

    Raises OrderNotFound for what is none.
    """
    moment = parse_time(text)
    if moment is None:
        raise OrderNotFound(f"{text!r} is no day or time, such as 2026-11-01 or 2026-11-01T12:00")
    if not isinstance(field, models.DateTimeField):
        return moment.date() if isinstance(moment, datetime) else moment
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    if settings.USE_TZ:
        return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
    return moment if timezone.is_naive(moment) else timezone.make_naive(moment)


def walk_orders(
    rows: models.QuerySet[Any],
    field: str,
    *,
    until: datetime | date | None = None,
    after: Place,
    most: int,
) -> Iterator[list[Any]]:
    """Yield lists of up to ``most`` orders, by time and then by primary key.

    ``after`` with the key None is the beginning of its time. Each list is a query that goes on
    behind the last one's end, so that an index finds it, and no more than one list is in memory. An
    order that is placed meanwhile is met if it belongs behind.
    """
    if until is not None:
        rows = rows.filter(**{f"{field}__lt": until})
    rows = rows.order_by(field, "pk")
    while True:
        # The first condition alone bounds the rows: databases use no index for an OR.
        ahead = rows.filter(**{f"{field}__gte": after.moment})
        if after.key is not None:
            later = Q(**{f"{field}__gt": after.moment})
            ahead = ahead.filter(later | Q(**{field: after.moment, "pk__gt": after.key}))
        orders = list(ahead[:most])
        if not orders:
            return
        yield orders
        after = Place(getattr(orders[-1], field), orders[-1].pk)
