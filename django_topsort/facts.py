"""What a request adds to the events that are recorded in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict, get_args

from django.utils.functional import Promise

from django_topsort.collector import Collector
from django_topsort.conf import topsort_settings
from django_topsort.delivery import deliver_safely
from django_topsort.events import Entity, Event, InteractionObject, Page, Placement, Purchase
from django_topsort.exceptions import InvalidEvent
from django_topsort.fields import MAX_CATEGORIES, MAX_ITEMS
from django_topsort.loading import loading
from django_topsort.purchases.products import get_product_reader
from django_topsort.purchases.values import is_plain_id, read_id
from django_topsort.shoppers import get_shopper, has_consent
from django_topsort.visits import get_device_type, get_ignore_reason, get_path, join_path

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

    ``placement`` stands for all the placement's fields. ``entity_type`` is ``"vendor"`` where the
    first argument is one. ``event_page`` is the event's Page; ``page`` is the placement's number.
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


EVENT_FIELDS = frozenset(EventFields.__annotations__)
PLACEMENT_FIELDS = frozenset(PlacementFields.__annotations__)
IMPRESSION_FIELDS = frozenset(InteractionFields.__annotations__)
CLICK_FIELDS = frozenset(ClickFields.__annotations__)
EVENT_CLASSES = frozenset(get_args(Event))
REQUEST_RULE = (
    "it must be the request, without which nobody knows the shopper; a template's context has it by"
    " the context processor 'django.template.context_processors.request'"
)
PRODUCT_RULE = "it must be a product that has an id, or that id"
NO_BID_RULE = f"{PRODUCT_RULE}, where there is no resolved_bid_id"


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


def get_request_shopper(request: HttpRequest, collector: Collector) -> Shopper:
    """Return the shopper, the same one for as long as the request lasts."""
    shopper: Shopper | None = collector.found.get("shopper")
    if shopper is None:
        shopper = collector.found.setdefault("shopper", get_shopper(request))
    return shopper


def is_ignored(request: HttpRequest, collector: Collector) -> bool:
    """Whether nothing of this request is reported: nobody sees it, or the shopper wants it so."""
    ignored: bool | None = collector.found.get("is_ignored")
    if ignored is None:
        ignored = get_ignore_reason(request) is not None or not has_consent(request)
        collector.found["is_ignored"] = ignored
    return ignored


def check_event(event: Event) -> None:
    """Raise InvalidEvent for what is no event itself: a subclass would spoil its whole batch."""
    if type(event) not in EVENT_CLASSES:
        rule = "it must be an Impression, a Click, a Purchase or a PageView itself"
        raise InvalidEvent("event", event, rule)


def is_unwanted(event: Event, request: HttpRequest | None, collector: Collector | None) -> bool:
    """Whether a finished event is left out for its request; of a purchase only consent decides."""
    if request is None or collector is None:
        return False
    if type(event) is not Purchase:
        return is_ignored(request, collector)
    with loading.lock:  # with the first order
        from django_topsort.purchases.buyers import is_refusal

    return is_refusal(request)


def check_names(fields: Mapping[str, object], known: frozenset[str]) -> None:
    """Raise InvalidEvent for a name that is not ``known``, such as a misspelled one."""
    if not fields.keys() <= known:
        name = min(fields.keys() - known)
        rule = f"there is no such argument; there are {', '.join(sorted(known))}"
        raise InvalidEvent(name, fields[name], rule)


def build_entity(collector: Collector, product: object, entity_type: str) -> Entity | None:
    """Return what an organic event is about, or None for a product that Topsort does not know.

    Raises InvalidEvent for what has no id.
    """
    entity_id: str | None
    if entity_type == "product":
        entity_id = read_product_id(collector, product, "product", NO_BID_RULE)
        if entity_id is None:
            return None
    else:
        entity_id = read_id(f"{product}" if isinstance(product, Promise) else product)
        if entity_id is None:
            raise InvalidEvent("product", product, "it must be a vendor that has an id, or that id")
    return Entity(id=entity_id, type=entity_type)  # type: ignore[arg-type]  # Entity refuses it


def read_product_id(
    collector: Collector, product: object, field: str, rule: str = PRODUCT_RULE
) -> str | None:
    """Return the product's id, or None where ``TOPSORT_PRODUCT_ID`` says that Topsort has it not.

    Raises InvalidEvent for what has no id.
    """
    read: Callable[[object], str | None] | None = collector.found.get("product_reader")
    if read is None:
        # A page has dozens of products, and a look at a setting takes longer than all the rest.
        read = collector.found["product_reader"] = get_product_reader()
    if isinstance(product, Promise):
        product = f"{product}"  # a lazy text, which a hook would take for a product
    product_id = read(product)
    if product_id is None and (is_plain_id(product) or topsort_settings.TOPSORT_PRODUCT_ID is None):
        # Such as the empty text that a template has for a variable that it lacks.
        raise InvalidEvent(field, product, rule)
    return product_id


def build_placement(
    request: HttpRequest, collector: Collector, fields: dict[str, Any]
) -> Placement:
    """Return the placement: the call's own fields, over those that the template has set.

    What it uses is taken out of ``fields``. Raises InvalidEvent for wrong data.
    """
    said = gather_placement(collector, fields)
    if not isinstance(said, dict):
        return said
    path = said.pop("path", None) or get_request_path(request, collector)
    return Placement(path=join_path(path, said.pop("component", None)), **said)


def gather_placement(collector: Collector, fields: dict[str, Any]) -> dict[str, Any] | Placement:
    """Return what is said of the placement, as ``build_placement`` does: its fields, or all."""
    own = {name: fields.pop(name) for name in [*fields] if name in PLACEMENT_FIELDS}
    if "placement" in fields:
        if own:
            rule = f"it takes the place of all of {', '.join(sorted(own))}; put them into it"
            raise InvalidEvent("placement", fields["placement"], rule)
        placement: Placement = fields["placement"]  # the event refuses what is none
        return placement
    if own:
        own = read_placement(collector, own)
    return {**collector.placement, **own} if collector.placement else own


def read_placement(collector: Collector, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the placement's fields with ids as text, without those that say nothing."""
    # A variable that a template lacks comes as an empty text.
    said = {name: value for name, value in fields.items() if value is not None and value != ""}
    if "product_id" in said:
        field = "placement.product_id"
        said["product_id"] = read_product_id(collector, said["product_id"], field)
    if "category_ids" in said:
        field = "placement.category_ids"
        said["category_ids"] = read_ids(said["category_ids"], field, MAX_CATEGORIES)
    return said


def build_page(
    request: HttpRequest, collector: Collector, page_type: str, page_id: object, value: object
) -> Page:
    """Return the page that is opened, by default named by its path.

    Raises InvalidEvent for wrong data.
    """
    if page_id is None or page_id == "":
        page_id = get_request_path(request, collector)
    read: Callable[[object], Any] = read_id_or_keep
    if page_type in ("PDP", "cart"):
        # Products have the same ids here as in impressions, clicks and purchases.
        read = partial(read_product_id, collector, field="page.value")
    return Page(
        type=page_type,  # type: ignore[arg-type]  # Page itself refuses what is no page type
        page_id=read_id_or_keep(page_id),
        value=read_ids(value, "page.value", MAX_ITEMS, read),
    )


def build_facts(
    request: HttpRequest, collector: Collector, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return ``fields`` with what every event needs and the caller has not given."""
    found = collector.found
    if "id" not in fields:
        fields["id"] = collector.build_id()
    if "opaque_user_id" not in fields:
        fields["opaque_user_id"] = get_request_shopper(request, collector).opaque_user_id
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


def read_id_or_keep(value: object) -> Any:
    """Return an id as text; what has none is left to the event, which refuses it."""
    return read_id(value) or value


def read_ids(
    value: Any, field: str, most: int, read: Callable[[object], Any] = read_id_or_keep
) -> Any:
    """Return an id, or a list of them, as text: primary keys may be numbers or UUIDs.

    None for an empty list, as for an empty text: a basket may be empty, and a page is one without.
    What ``read`` returns None for is left out. Raises InvalidEvent for more than ``most``.
    """
    if isinstance(value, Promise):
        value = str(value)  # a lazy text can be iterated, too
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        return read(value)
    # No further than it takes to know that they are too many: a generator may have no end.
    given = list(islice(value, most + 1))
    if len(given) > most:
        raise InvalidEvent(field, value, f"it must hold at most {most} texts")
    return [item for item in map(read, given) if item is not None] or None
