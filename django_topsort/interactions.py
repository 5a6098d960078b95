"""Making impressions and clicks of what a call, its template and its request say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import force_setattr

from django_topsort.arguments import CLICK_FIELDS, IMPRESSION_FIELDS, PLAIN_FIELDS, check_names
from django_topsort.events import Click, Impression, Placement
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import build_entity, build_facts, build_placement
from django_topsort.fields import MAX_TEXT

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.collector import Collector
    from django_topsort.events import Entity

AnyInteraction = TypeVar("AnyInteraction", Impression, Click)

ARGUMENTS: dict[type[Impression | Click], frozenset[str]] = {
    Impression: IMPRESSION_FIELDS,
    Click: CLICK_FIELDS,
}


def build_interaction(
    event_class: type[AnyInteraction],
    request: HttpRequest,
    collector: Collector,
    product: object,
    fields: dict[str, Any],
) -> AnyInteraction | None:
    """Return the event, or None for a product that Topsort does not know.

    Raises InvalidEvent for wrong data.
    """
    is_plain = fields.keys() <= PLAIN_FIELDS and not collector.placement
    if not is_plain:
        check_names(fields, ARGUMENTS[event_class])
    placed = fields.copy()
    bid_id, entity = placed.pop("resolved_bid_id", None) or None, placed.pop("entity", None)
    entity_type = placed.pop("entity_type", "product")
    if bid_id is None and entity is None:
        if product is None:
            rule = "it must be given where there is no resolved_bid_id"
            raise InvalidEvent("product", None, rule)
        # Beside a bid Topsort disregards the entity, so it is left out.
        entity = build_entity(collector, product, entity_type)
        if entity is None:
            return None
    if is_plain:
        mould: AnyInteraction | None = collector.found.get(event_class)
        alike = mould and _build_alike(mould, collector, bid_id, entity, placed)
        if alike is not None:
            return alike
    placement, rest = build_placement(request, collector, placed)
    if "event_page" in rest:
        rest["page"] = rest.pop("event_page")
    rest |= {"placement": placement, "resolved_bid_id": bid_id, "entity": entity}
    event = event_class(**build_facts(request, collector, rest))
    if is_plain:
        collector.found[event_class] = event
    return event


def _build_alike(
    mould: AnyInteraction, collector: Collector, bid_id: Any, entity: Entity | None, placed: Any
) -> AnyInteraction | None:
    """Return an event that differs from ``mould`` in no more than what is given, and the time.

    A page makes dozens of them; what they share was looked up and validated with the first.
    ``placed``: of ``PLAIN_FIELDS``. None where something is not plainly right: it is looked at in
    full then.
    """
    if bid_id is not None and not (
        type(bid_id) is str and 0 < len(bid_id) <= MAX_TEXT and bid_id.isascii()
    ):
        return None
    try:
        placement = Placement(path=mould.placement.path, **placed)  # type: ignore[union-attr]  # a mould has one
    except InvalidEvent:
        return None  # such as the empty text of a variable that a template lacks
    event: AnyInteraction = mould.__copy__()
    force_setattr(event, "id", collector.build_id())
    force_setattr(event, "occurred_at", datetime.now(UTC))
    force_setattr(event, "resolved_bid_id", bid_id)
    force_setattr(event, "entity", entity)
    force_setattr(event, "placement", placement)
    return event
