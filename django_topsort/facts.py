"""What a request adds to the events that are recorded in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from django_topsort.collector import Collector
from django_topsort.conf import topsort_settings
from django_topsort.delivery import deliver_safely
from django_topsort.events import Entity, InteractionObject, Page, Placement
from django_topsort.exceptions import InvalidEvent
from django_topsort.purchases.products import get_product_id
from django_topsort.purchases.values import is_plain_id, read_id
from django_topsort.shoppers import get_shopper, has_consent
from django_topsort.visits import get_device_type, get_ignore_reason, get_path

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.shoppers import Shopper


class EventFields(TypedDict, total=False):
    """What any event may be given; what is absent comes from the request and the settings."""

    id: str
    occurred_at: datetime
    opaque_user_id: str
    device_type: str
    channel: str


class PlacementFields(TypedDict, total=False):
    """Where on a page: the fields of Placement, and ``component``, which is added to the path."""

    path: str
    component: str
    position: int
    page: int
    page_size: int
    product_id: object
    category_ids: object
    search_query: str


class InteractionFields(EventFields, PlacementFields, total=False):
    """What an impression or a click may be given.

    ``placement`` replaces all the placement's fields. ``entity_type`` is ``"vendor"`` where the first
    argument is one. ``event_page`` is the event's Page, as ``page`` is the placement's number.
    """

    resolved_bid_id: str | None
    entity: Entity
    entity_type: str
    placement: Placement
    event_page: Page
    object: InteractionObject
    additional_attribution: Entity
    external_campaign_id: str
    external_vendor_id: str


class ClickFields(InteractionFields, total=False):
    """What a click may be given: that of an impression, and ``click_type``."""

    click_type: str


PLACEMENT_FIELDS = frozenset(PlacementFields.__annotations__)
REQUEST_RULE = "it must be the request, without which nobody knows the shopper"
PRODUCT_RULE = "it must be a product or its id, where there is no resolved_bid_id"


def get_collector(request: HttpRequest) -> Collector:
    """Return what this request gathers; without the middleware, one that passes events through.

    Raises InvalidEvent for what is no request.
    """
    collector = getattr(request, "topsort", None)
    if isinstance(collector, Collector):
        return collector
    if not hasattr(request, "META"):
        raise InvalidEvent("request", request, REQUEST_RULE)
    collector = Collector(deliver_safely, closed=True)
    request.topsort = collector  # type: ignore[attr-defined]  # as the middleware does
    return collector


def get_request_shopper(request: HttpRequest) -> Shopper:
    """Return the shopper, the same one for as long as the request lasts."""
    found = get_collector(request).found
    shopper: Shopper | None = found.get("shopper")
    if shopper is None:
        shopper = found.setdefault("shopper", get_shopper(request))
    return shopper


def is_ignored(request: HttpRequest, collector: Collector) -> bool:
    """Whether nothing of this request is reported: nobody sees it, or the shopper wants it so."""
    ignored: bool | None = collector.found.get("is_ignored")
    if ignored is None:
        ignored = get_ignore_reason(request) is not None or not has_consent(request)
        collector.found["is_ignored"] = ignored
    return ignored


def build_entity(product: object, entity_type: str) -> Entity | None:
    """Return what an organic event is about, or None for a product that Topsort does not know.

    Raises InvalidEvent for what has no id.
    """
    entity_id = get_product_id(product) if entity_type == "product" else read_id(product)
    if entity_id is not None:
        return Entity(id=entity_id, type=entity_type)  # type: ignore[arg-type]  # Entity refuses it
    if topsort_settings.TOPSORT_PRODUCT_ID is None or is_plain_id(product):
        # Such as the empty text that a template has for a variable that it lacks.
        raise InvalidEvent("product", product, PRODUCT_RULE)
    return None


def build_placement(
    request: HttpRequest, collector: Collector, fields: dict[str, Any]
) -> Placement:
    """Return the placement: the call's own fields, over those that the template has set."""
    said = dict(collector.placement or ())
    for name in PLACEMENT_FIELDS.intersection(fields):
        said[name] = fields.pop(name)
    path = said.pop("path", None) or get_request_path(request, collector)
    component = said.pop("component", None)
    if component:
        path = f"{path.rstrip('/')}/{component}"
    if "product_id" in said:
        said["product_id"] = get_product_id(said["product_id"])
    if "category_ids" in said:
        said["category_ids"] = read_ids(said["category_ids"])
    # A variable that a template lacks comes as an empty text.
    return Placement(path=path, **{name: value for name, value in said.items() if value != ""})


def build_facts(
    request: HttpRequest, collector: Collector, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return ``fields`` with what every event needs and the caller has not given."""
    found = collector.found
    if "id" not in fields:
        fields["id"] = collector.build_id()
    if "opaque_user_id" not in fields:
        fields["opaque_user_id"] = get_request_shopper(request).opaque_user_id
    if "device_type" not in fields:
        if "device_type" not in found:
            found["device_type"] = get_device_type(request)
        fields["device_type"] = found["device_type"]
    if "channel" not in fields:
        if "channel" not in found:
            found["channel"] = topsort_settings.TOPSORT_CHANNEL
        fields["channel"] = found["channel"]
    return fields


def get_request_path(request: HttpRequest, collector: Collector) -> str:
    """Return the path of the request, the same for as long as it lasts."""
    path: str | None = collector.found.get("path")
    if path is None:
        path = collector.found["path"] = get_path(request)
    return path


def read_ids(value: Any) -> Any:
    """Return an id, or a list of them, as text: primary keys may be numbers or UUIDs."""
    if value is None or isinstance(value, str):
        return value or None
    items: Iterable[Any] | None = value if hasattr(value, "__iter__") else None
    if items is None:
        return read_id(value)
    return [read_id(item) or item for item in items]
