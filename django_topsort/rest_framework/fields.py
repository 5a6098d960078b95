"""What a client needs of an object to report it: a field of a serializer."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from rest_framework import serializers

from django_topsort.bids import sign_bid
from django_topsort.conf import topsort_settings
from django_topsort.delivery import refuse
from django_topsort.events import Impression
from django_topsort.facts import build_entity, get_collector, get_request_shopper
from django_topsort.pages import keep_for_one, may_track
from django_topsort.rest_framework.mixins import ReportsImpressions, find_bid

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.collector import Collector

SCHEMA = {
    "type": "object",
    "nullable": True,
    "description": (
        "What an impression or a click of this object has, in Topsort's spelling: put it into the"
        " event. Null where nothing is to be reported."
    ),
    "properties": {
        "entity": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "type": {"type": "string", "enum": ["product", "vendor"]},
            },
            "required": ["id", "type"],
        },
        "resolvedBidId": {
            "type": "string",
            "description": "Only of what is sponsored; it counts for this shopper alone.",
        },
    },
}


class TopsortField(serializers.Field[Any, Any, Any, Any]):
    """What a client puts into an impression or a click of the object, as it stands.

    ``{"entity": {"type": "product", "id": "p-1"}, "resolvedBidId": "..."}``: the latter only of
    what is sponsored, and signed for the shopper while ``TOPSORT_REQUIRE_SIGNED_BIDS`` holds; an
    answer with a bid is that shopper's alone, and no cache keeps it for others. None
    without a request in the serializer's context or without consent, for a product that Topsort
    does not know, and for wrong data, which raises while ``TOPSORT_STRICT`` holds. It is read only.

    ``entity_type``: ``"vendor"`` where the objects are vendors. ``get_product`` and
    ``get_resolved_bid_id`` can be overridden; in the list of a view with ``ReportsImpressions`` the
    view's methods decide.
    """

    def __init__(self, *, entity_type: str = "product", **kwargs: Any) -> None:
        kwargs["read_only"] = True
        kwargs["source"] = "*"
        super().__init__(**kwargs)
        self.entity_type = entity_type

    def get_product(self, obj: Any) -> object:
        """Return the product that ``obj`` shows."""
        view = self._find_view()
        return obj if view is None else view.get_topsort_product(obj)

    def get_resolved_bid_id(self, obj: Any) -> str | None:
        """Return the bid for which ``obj`` is shown, None where it is not sponsored."""
        view = self._find_view()
        return find_bid(obj) if view is None else view.get_resolved_bid_id(obj)

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """Return what an event of ``value`` has, or None."""
        request = self.context.get("request")
        try:
            if request is None:
                return None
            collector = get_collector(request)
            # Also for prefetches, unlike an impression: what was fetched may be shown.
            if not may_track(request, collector):
                return None
            return self._build(request, collector, value)
        except Exception as error:
            refuse("field", error, request)
            return None

    def _build(
        self, request: HttpRequest, collector: Collector, value: Any
    ) -> dict[str, Any] | None:
        bid = self.get_resolved_bid_id(value) or None
        entity = build_entity(collector, self.get_product(value), self.entity_type)
        if bid is None and entity is None:
            return None
        # It is checked as an event is, so that a client is given nothing that would be refused.
        event = Impression(id="-", opaque_user_id="-", entity=entity, resolved_bid_id=bid)
        said: dict[str, Any] = {}
        if event.entity is not None:
            said["entity"] = msgspec.to_builtins(event.entity)
        if event.resolved_bid_id is not None:
            said["resolvedBidId"] = event.resolved_bid_id
            shopper = get_request_shopper(request, collector)
            keep_for_one(request, collector)
            if topsort_settings.TOPSORT_REQUIRE_SIGNED_BIDS is True:
                said["resolvedBidId"] = sign_bid(event.resolved_bid_id, shopper.opaque_user_id)
        return said

    def _find_view(self) -> ReportsImpressions | None:
        """Return the view whose list has the object; None for what is part of another object."""
        view = self.context.get("view")
        is_own = self.parent is self.root or self.parent is getattr(self.root, "child", None)
        return view if is_own and isinstance(view, ReportsImpressions) else None


with suppress(ImportError):
    from drf_spectacular.utils import extend_schema_field

    extend_schema_field(SCHEMA)(TopsortField)
