"""Making impressions and clicks of what a call, its template and its request say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import force_setattr

from django_topsort.arguments import CLICK_FIELDS, IMPRESSION_FIELDS, PLAIN_FIELDS, check_names
from django_topsort.events import Click, Impression, read_clock
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import build_entity, build_facts, build_placement
from django_topsort.fields import MAX_INTEGER, MAX_TEXT

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
    # Before the placement is read: another thread may set one, and new moulds with it.
    moulds = collector.moulds
    is_plain = fields.keys() <= PLAIN_FIELDS
    if not is_plain:
        check_names(fields, ARGUMENTS[event_class])
    placed: dict[str, Any] = fields.copy()
    bid_id, entity = placed.pop("resolved_bid_id", None) or None, placed.pop("entity", None)
    if bid_id is None and entity is None:
        if product is None:
            rule = "it must be given where there is no resolved_bid_id"
            raise InvalidEvent("product", None, rule)
        # Beside a bid Topsort disregards the entity, so it is left out.
        entity = build_entity(collector, product, placed.get("entity_type", "product"))
        if entity is None:
            return None
    mould: AnyInteraction | None
    if is_plain and (mould := moulds.get((event_class, *placed))) is not None:
        alike: AnyInteraction | None = _build_alike(mould, collector, bid_id, entity, placed)
        if alike is not None:
            return alike
    event = _build_in_full(event_class, request, collector, placed, bid_id=bid_id, entity=entity)
    if is_plain:
        moulds[event_class, *placed] = event
    return event


def _build_in_full(
    event_class: type[AnyInteraction],
    request: HttpRequest,
    collector: Collector,
    fields: dict[str, Any],
    *,
    bid_id: Any,
    entity: Any,
) -> AnyInteraction:
    placement, rest = build_placement(request, collector, fields)
    rest.pop("entity_type", None)
    if "event_page" in rest:
        rest["page"] = rest.pop("event_page")
    rest |= {"placement": placement, "resolved_bid_id": bid_id, "entity": entity}
    return event_class(**build_facts(request, collector, rest))


def _build_alike(
    mould: AnyInteraction,
    collector: Collector,
    bid_id: Any,
    entity: Entity | None,
    placed: dict[str, Any],
) -> AnyInteraction | None:
    """Return an event that differs from ``mould`` in no more than what is given, and the time.

    A page makes dozens of them, and what they share was looked up and validated with the first.
    ``placed``: of the placement what that one was given, too. None where something is not plainly
    right, such as the empty text of a variable that a template lacks: it is looked at in full then.
    """
    if bid_id is not None and not (
        type(bid_id) is str and 0 < len(bid_id) <= MAX_TEXT and bid_id.isascii()
    ):
        return None
    # By its own method: copy() looks for it in vain for as long as the copy takes.
    placement = mould.placement.__copy__()  # type: ignore[union-attr]
    for name, value in placed.items():
        if not (type(value) is int and 0 < value <= MAX_INTEGER):
            return None
        force_setattr(placement, name, value)
    event: AnyInteraction = mould.__copy__()  # type: ignore[attr-defined]
    force_setattr(event, "id", collector.build_id())
    force_setattr(event, "occurred_at", read_clock())
    force_setattr(event, "resolved_bid_id", bid_id)
    force_setattr(event, "entity", entity)
    force_setattr(event, "placement", placement)
    return event
