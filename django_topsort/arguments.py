"""What the ``track_*`` functions and the tags may be given, by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from django_topsort.exceptions import InvalidEvent

if TYPE_CHECKING:
    from django_topsort.events import Entity, InteractionObject, Page, Placement


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
# Of these, what the products of a page differ in, or have in common as plain numbers.
PLAIN_FIELDS = frozenset({"resolved_bid_id", "position", "page", "page_size"})


def check_names(fields: Mapping[str, object], known: frozenset[str]) -> None:
    """Raise InvalidEvent for a name that is not ``known``, such as a misspelled one."""
    if not fields.keys() <= known:
        name = min(fields.keys() - known)
        rule = f"there is no such argument; there are {', '.join(sorted(known))}"
        raise InvalidEvent(name, fields[name], rule)
