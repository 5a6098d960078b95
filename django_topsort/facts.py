"""What a request adds to the events that are recorded in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

from django.utils.functional import Promise

from django_topsort.arguments import PLACEMENT_FIELDS
from django_topsort.collector import Collector
from django_topsort.conf import topsort_settings
from django_topsort.delivery import deliver_safely
from django_topsort.events import Entity, Event, Page, Placement, Purchase
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


EVENT_CLASSES = frozenset(get_args(Event))
REQUEST_RULE = (
    "it must be the request, without which nobody knows the shopper; a template's context has it by"
    " the context processor 'django.template.context_processors.request'"
)
SHARED_FACTS = 3  # the shopper, the device and the channel
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
) -> tuple[Placement, dict[str, Any]]:
    """Return the placement, the call's own fields over those of the template, and other ``fields``.

    Raises InvalidEvent for wrong data.
    """
    said, rest = part_placement(collector, fields)
    if not isinstance(said, dict):
        return said, rest
    if not said.get("path"):
        said["path"] = get_request_path(request, collector)
    if "component" in said:
        said["path"] = join_path(said["path"], said.pop("component"))
    return Placement(**said), rest


def part_placement(
    collector: Collector, fields: dict[str, Any]
) -> tuple[dict[str, Any] | Placement, dict[str, Any]]:
    """Return what is said of the placement, its fields or all of it, and the rest of ``fields``."""
    own = {name: value for name, value in fields.items() if name in PLACEMENT_FIELDS}
    rest = {name: value for name, value in fields.items() if name not in own}
    if "placement" in rest:
        if own:
            rule = f"it takes the place of all of {', '.join(sorted(own))}; put them into it"
            raise InvalidEvent("placement", rest["placement"], rule)
        placement: Placement = rest["placement"]  # the event refuses what is none
        return placement, rest
    said = read_placement(collector, own)
    return ({**collector.placement, **said} if collector.placement else said), rest


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
    shared: dict[str, Any] | None = collector.found.get("facts")
    if shared is None:
        shared = _find_facts(request, collector, fields)
    facts = shared | fields
    if "id" not in facts:
        facts["id"] = collector.build_id()
    return facts


def _find_facts(
    request: HttpRequest, collector: Collector, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return what all events of a request share, but for what ``fields`` have of it."""
    facts: dict[str, Any] = {}
    if "opaque_user_id" not in fields:
        facts["opaque_user_id"] = get_request_shopper(request, collector).opaque_user_id
    if "device_type" not in fields:
        facts["device_type"] = get_device_type(request)
    if "channel" not in fields:
        facts["channel"] = topsort_settings.TOPSORT_CHANNEL
    if len(facts) == SHARED_FACTS:
        collector.found["facts"] = facts
    return facts


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
