"""The attributes from which a browser reports what was seen and clicked.

They say what an impression or a click of the element would say, in the names that Topsort's own
analytics.js reads and a few of ours. A page with a bid in it is its shopper's alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

import msgspec
from django.utils.safestring import SafeString, mark_safe

from django_topsort.arguments import EVENT_FIELDS, IMPRESSION_FIELDS, check_names
from django_topsort.bids import sign_bid
from django_topsort.conf import topsort_settings
from django_topsort.delivery import refuse
from django_topsort.events import Impression, Placement
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import (
    build_entity,
    get_collector,
    get_request_shopper,
    part_placement,
)
from django_topsort.pages import is_told, keep_for_one
from django_topsort.visits import join_path

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.arguments import InteractionFields
    from django_topsort.collector import Collector

INHERIT = "inherit"
# The rest of an event is said by the browser, or by the request with which it comes.
ARGUMENTS = IMPRESSION_FIELDS - EVENT_FIELDS
UNSAID: dict[str, Any] = {
    "id": "-",
    "opaque_user_id": "-",
    "occurred_at": datetime(2000, 1, 1, tzinfo=UTC),
}
LANDING = "landing"
USUAL = frozenset({"resolved_bid_id", "entity", "placement"})
RARE_FIELDS = (  # as Topsort spells them
    "page",
    "object",
    "additionalAttribution",
    "externalCampaignId",
    "externalVendorId",
)
# In apostrophes, because JSON is full of quotation marks. A browser would read "\r" as "\n".
SPECIAL = re.compile(r"[&<>'\r\0]")
ESCAPES = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("'"): "&#39;",
    ord("\r"): "&#13;",
}

_encode = msgspec.json.Encoder().encode
_nothing = SafeString("")


def build_attrs(
    request: HttpRequest,
    product: object = None,
    *,
    banner: bool = False,
    action: str | None = None,
    **fields: Unpack[InteractionFields],
) -> SafeString:
    """Return the attributes of an element that shows ``product``, for the browser to report.

    ``product`` and ``fields`` as for ``track_impression``, without what the browser or its request
    say (``id``, ``occurred_at``, ``opaque_user_id``, ``device_type``, ``channel``).
    ``resolved_bid_id="inherit"``: the bid is that of the banner through which the shopper came, if
    any; then ``action="landing"`` says that this is the banner's own page, of which opening it is a
    click. ``banner``: the element is one, as is what has a bid and no product. Returns ``""`` of
    crawlers, without consent, for a banner without a bid or a product that Topsort does not know,
    and for wrong data while ``TOPSORT_STRICT`` does not hold.

    Raises InvalidEvent for wrong data while ``TOPSORT_STRICT`` holds.
    """
    given: dict[str, Any] = {**fields}
    try:
        collector = get_collector(request)
        if not is_told(request, collector):
            return _nothing
        check_names(given, ARGUMENTS)
        if banner and not given.get("resolved_bid_id"):
            return _nothing  # an auction that nobody has won, or a fallback, which must not count
        if not _read_entity(collector, product, given):
            return _nothing
        given, component = _read_placement(collector, given)
        if "event_page" in given:
            given["page"] = given.pop("event_page")
        event = Impression(**UNSAID, **given)
        written = _write_names(request, collector, event)
        if placement := _write_placement(given["placement"], component):
            written.append(_write("data-ts-placement", placement))
        if not given.keys() <= USUAL:
            written.append(_write("data-ts-fields", _encode_rare(event)))
        if banner or action:
            written += _write_roles(event, banner=banner, action=action)
        if collector.observer is not None:
            collector.observer.note_told("attrs", event)
        return mark_safe(" ".join(written))  # noqa: S308  # each value is escaped
    except Exception as error:
        refuse("impressions", error, request)
        return _nothing


def _read_entity(collector: Collector, product: object, fields: dict[str, Any]) -> bool:
    """Put what the element shows into ``fields``; return False for what Topsort does not know."""
    bid = fields["resolved_bid_id"] = fields.get("resolved_bid_id") or None
    entity_type = fields.pop("entity_type", None) or "product"
    if isinstance(product, str) and not product:
        product = None  # a variable that the template lacks
    if product is None:
        if fields.get("entity") is None and bid in (None, INHERIT):
            rule = "it must be given where there is no resolved_bid_id of the element's own"
            raise InvalidEvent("product", None, rule)
        return True
    if fields.get("entity") is not None:
        raise InvalidEvent("entity", fields["entity"], "it says again what the first argument says")
    fields["entity"] = build_entity(collector, product, entity_type)
    return fields["entity"] is not None


def _read_placement(
    collector: Collector, fields: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return ``fields`` with their placement in one, and its component or None.

    None where the path has been said. Otherwise the browser says the path, for which "/" stands
    until then.
    """
    said, rest = part_placement(collector, fields)
    if not isinstance(said, dict):
        return rest, None
    path, component = said.pop("path", None), said.pop("component", None)
    rest["placement"] = Placement(path=join_path(path or "/", component), **said)
    return rest, None if path else f"{component or ''}".strip("/")


def _write_names(request: HttpRequest, collector: Collector, event: Impression) -> list[str]:
    """Write what is shown, and the bid that put it there."""
    entity, bid = event.entity, event.resolved_bid_id
    written = []
    if entity is not None:
        written.append(_write("data-ts-product", entity.id))
        if entity.type == "vendor":
            written.append("data-ts-entity-type='vendor'")
    if bid is not None:
        if bid != INHERIT:
            shopper = get_request_shopper(request, collector)
            keep_for_one(request, collector)
            if topsort_settings.TOPSORT_REQUIRE_SIGNED_BIDS:
                bid = sign_bid(bid, shopper.opaque_user_id)
        written.append(_write("data-ts-resolved-bid", bid))
    return written


def _write_placement(placement: Placement, component: str | None) -> str:
    """Return the placement's JSON without the path that is to be the browser's; ``""`` for none."""
    if component is None:
        return _encode(placement).decode()
    content = msgspec.to_builtins(placement)
    del content["path"]
    if component:
        content["component"] = component
    return _encode(content).decode() if content else ""


def _encode_rare(event: Impression) -> str:
    """Return what else the event says, as JSON."""
    content = msgspec.to_builtins(event)
    return _encode({name: content[name] for name in RARE_FIELDS if name in content}).decode()


def _write_roles(event: Impression, *, banner: bool, action: str | None) -> Iterator[str]:
    """Write what the element is to a banner: the banner itself, or where it leads."""
    inherits = event.resolved_bid_id == INHERIT
    if banner:
        if inherits:
            raise InvalidEvent("banner", banner, "it must come with the banner's resolved_bid_id")
        yield "data-ts-banner"
    if action:
        if action != LANDING or not inherits:
            rule = 'it must be "landing", beside resolved_bid_id="inherit"'
            raise InvalidEvent("action", action, rule)
        yield "data-ts-action='landing'"


def _write(name: str, text: str) -> str:
    """Write an attribute that a browser reads as ``text``."""
    if SPECIAL.search(text):
        if "\0" in text:
            raise InvalidEvent(name, text, "it must have no NUL in it, which no page can hold")
        text = text.translate(ESCAPES)
    return f"{name}='{text}'"
