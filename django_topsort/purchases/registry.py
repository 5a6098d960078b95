"""What is known of the models of particular shops: how their orders are read, their products named.

Apps such as those in ``django_topsort.contrib`` register it in their ``ready()``. What a project
says itself goes before it: a ``TOPSORT_ORDER_READER`` other than the default one reads every order,
and a ``TOPSORT_PRODUCT_ID`` names every product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db.models import Model

Registered = TypeVar("Registered")

_readers: dict[str, Callable[..., Any]] = {}
_product_ids: dict[str, Callable[[Any], object]] = {}


def register_reader(model_label: str, reader: Callable[..., Any] | None) -> None:
    """Let ``reader`` read the orders of a model (``"order.Order"``), and of what inherits from it.

    ``reader`` is what ``TOPSORT_ORDER_READER`` may be: a subclass of OrderReader, or a function
    that takes the order. It replaces what was registered before; None takes that back. It counts
    where ``TOPSORT_ORDER_READER`` is not set, or is the default.
    """
    _register(_readers, model_label, reader)


def register_product_id(model_label: str, get_id: Callable[[Any], object] | None) -> None:
    """Let ``get_id`` name the products of a model, and of what inherits from it, at Topsort.

    It takes an instance and returns its id, or None for one that has none; None in its place takes
    back what was registered. It counts for impressions, clicks, page views and purchases where
    ``TOPSORT_PRODUCT_ID`` is not set.
    """
    _register(_product_ids, model_label, get_id)


def _register(registered: dict[str, Registered], label: str, value: Registered | None) -> None:
    if value is None:
        registered.pop(label.lower(), None)
    else:
        registered[label.lower()] = value


def find_registered_reader(order: object) -> Callable[..., Any] | None:
    """Return the reader that was registered for the model of ``order``, or None."""
    return _find(_readers, order)


def find_registered_product_id(product: object) -> Callable[[Any], object] | None:
    """Return the function that was registered for the model of ``product``, or None."""
    return _find(_product_ids, product)


def has_product_ids() -> bool:
    """Whether any function was registered: a page without one need not look for each product."""
    return bool(_product_ids)


def _find(registered: Mapping[str, Registered], instance: object) -> Registered | None:
    # Not isinstance() and type(), which of a lazy object would be no model.
    model = instance.__class__
    if not registered or not issubclass(model, Model):
        return None
    for base in model.__mro__:
        meta = getattr(base, "_meta", None)  # Model itself has none, nor has a mixin
        found = registered.get(meta.label_lower) if meta is not None else None
        if found is not None:
            return found
    return None
