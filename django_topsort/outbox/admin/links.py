"""From a row to the order that it is of, where the admin knows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from django.apps import apps
from django.urls import reverse

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    from django_topsort.outbox.models import OutboxEvent


class Link(NamedTuple):
    """An address. ``is_search``: of a list in which the order is looked for."""

    url: str
    is_search: bool


def find_order(row: OutboxEvent, request: HttpRequest, site: AdminSite) -> Link | None:
    """Return where the order of a row is in the admin; None where it is not, or may not be seen.

    An announcement says which order it is. Of a purchase only the number is known: it is searched
    for among the models of this admin that are called Order.
    """
    if row.kind != "purchases":
        return None
    found = _read_announcement(row) if row.is_announcement else None
    if found is not None:
        model, key = found
        model_admin = site._registry.get(model)
        if model_admin is None or not model_admin.has_view_permission(request):
            return None
        return _build(site, model, "change", [key])
    for model, model_admin in site._registry.items():
        if model._meta.model_name != "order" or not model_admin.search_fields:
            continue
        if model_admin.has_view_permission(request):
            link = _build(site, model, "changelist", [])
            query = urlencode({"q": row.event_id})
            return link._replace(url=f"{link.url}?{query}")
    return None


def _read_announcement(row: OutboxEvent) -> tuple[Any, Any] | None:
    try:
        payload = json.loads(row.payload)
        model = apps.get_model(payload["model"])
        key = json.loads(payload["pk"])
    except (ValueError, LookupError, TypeError):
        return None
    return (model, key) if isinstance(key, int | str) else None


def _build(site: AdminSite, model: Any, page: str, arguments: list[Any]) -> Link:
    name = f"{site.name}:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return Link(reverse(name, args=arguments), is_search=page == "changelist")
