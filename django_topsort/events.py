"""The four kinds of events, and their parts: the schema of ``POST /v2/events``.

An instance is valid or it is not built: wrong data raises InvalidEvent, which names the field, the
value and the rule. Instances are frozen, so an event is the same at each attempt to send it.
Attributes (``resolved_bid_id``) go out as Topsort spells them (``resolvedBidId``); what is None is
left out, because the API refuses null.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field, json
from msgspec.structs import force_setattr

from django_topsort.exceptions import InvalidEvent
from django_topsort.fields import (
    CHANNELS,
    CLICK_TYPES,
    DEVICE_TYPES,
    MAX_ITEMS,
    MAX_PURCHASE,
    MAX_TEXT,
    Channel,
    ClickType,
    DeviceType,
    EntityType,
    ObjectType,
    PageType,
    clean_choice,
    clean_struct,
    clean_text,
    clean_time,
)
from django_topsort.ids import build_id
from django_topsort.parts import Entity, InteractionObject, Page, Part, Placement, PurchaseItem

__all__ = [
    "EVENT_KINDS",
    "Channel",
    "Click",
    "ClickType",
    "DeviceType",
    "Entity",
    "EntityType",
    "Event",
    "Impression",
    "InteractionObject",
    "ObjectType",
    "Page",
    "PageType",
    "PageView",
    "Part",
    "Placement",
    "Purchase",
    "PurchaseItem",
]

# Bound here and now: what a test's tool puts in the place of `datetime` is of a class of its own.
read_clock = partial(datetime.now, UTC)
_encode = json.Encoder(decimal_format="number").encode


class BaseEvent(Part, frozen=True, kw_only=True):
    """What every event carries.

    ``id``: the same at each attempt, so that a repeat is harmless; filled in when absent.
    ``occurred_at``: aware, or naive in the current time zone; now when absent.
    ``opaque_user_id``: names the shopper without saying who that is. ``device_type``: ``"desktop"``
    or ``"mobile"``. ``channel``: ``"onsite"``, ``"offsite"`` or ``"instore"``.
    """

    kind: ClassVar[str]

    opaque_user_id: str
    id: str = field(default_factory=build_id)
    occurred_at: Annotated[datetime, Meta(tz=True)] = field(default_factory=read_clock)
    device_type: DeviceType | None = None
    channel: Channel | None = None

    def __post_init__(self) -> None:
        text = self.id
        if not (type(text) is str and 0 < len(text) <= MAX_TEXT and text.isascii()):
            clean_text(self, "id", "id")
        if type(self.occurred_at) is not datetime or self.occurred_at.tzinfo is not UTC:
            clean_time(self, "occurred_at", "occurred_at")
        text = self.opaque_user_id
        if not (type(text) is str and 0 < len(text) <= MAX_TEXT and text.isascii()):
            clean_text(self, "opaque_user_id", "opaque_user_id")
        choice: Any = self.device_type
        if choice is not None and not (type(choice) is str and choice in DEVICE_TYPES):
            clean_choice(self, "device_type", "device_type", DEVICE_TYPES)
        choice = self.channel
        if choice is not None and not (type(choice) is str and choice in CHANNELS):
            clean_choice(self, "channel", "channel", CHANNELS)


class Interaction(BaseEvent, frozen=True, kw_only=True):
    """What impressions and clicks share.

    ``resolved_bid_id``: from the auction, for what is sponsored. ``entity``: the product or vendor,
    for what is not; Topsort disregards it beside a bid. One of the two is required.
    ``placement``: where on a page it was. ``page``: that page. ``object``: what was seen or
    clicked, for what is not sponsored. ``additional_attribution``: the product or vendor behind a
    banner's bid. ``external_campaign_id`` and ``external_vendor_id``: the marketplace's own ids.
    """

    resolved_bid_id: str | None = None
    entity: Entity | None = None
    placement: Placement | None = None
    page: Page | None = None
    object: InteractionObject | None = None
    additional_attribution: Entity | None = None
    external_campaign_id: str | None = None
    external_vendor_id: str | None = None

    def __post_init__(self) -> None:
        BaseEvent.__post_init__(self)  # and not super(), which takes as long as what is called
        bid, entity, placement = self.resolved_bid_id, self.entity, self.placement
        if bid is None:
            if entity is None:
                # The schema lets it pass; the API's description requires one of the two.
                rule = "it must be given where there is no entity"
                raise InvalidEvent("resolved_bid_id", None, rule)
        elif not (type(bid) is str and 0 < len(bid) <= MAX_TEXT and bid.isascii()):
            clean_text(self, "resolved_bid_id", "resolved_bid_id")
        if entity is not None and type(entity) is not Entity:
            clean_struct(self, "entity", "entity", Entity)
        if placement is not None and type(placement) is not Placement:
            clean_struct(self, "placement", "placement", Placement)
        if (
            self.page is not None
            or self.object is not None
            or self.additional_attribution is not None
            or self.external_campaign_id is not None
            or self.external_vendor_id is not None
        ):
            self._clean_rare()

    def _clean_rare(self) -> None:
        if self.page is not None:
            clean_struct(self, "page", "page", Page)
        if self.object is not None:
            clean_struct(self, "object", "object", InteractionObject)
        if self.additional_attribution is not None:
            clean_struct(self, "additional_attribution", "additional_attribution", Entity)
            if self.resolved_bid_id is None:
                rule = "it must come with a resolved_bid_id"
                raise InvalidEvent("additional_attribution", self.additional_attribution, rule)
        if self.external_campaign_id is not None:
            clean_text(self, "external_campaign_id", "external_campaign_id")
        if self.external_vendor_id is not None:
            clean_text(self, "external_vendor_id", "external_vendor_id")


class Impression(Interaction, frozen=True, kw_only=True):
    """A product or banner became visible to a shopper (``Impression``)."""

    kind: ClassVar[str] = "impressions"


class Click(Interaction, frozen=True, kw_only=True):
    """A shopper clicked on a product or banner; vendors are charged for it (``Click``).

    ``click_type``: what the shopper did, for sponsored clicks only.
    """

    kind: ClassVar[str] = "clicks"

    click_type: ClickType | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.click_type is not None:
            clean_choice(self, "click_type", "click_type", CLICK_TYPES)


class Purchase(BaseEvent, frozen=True, kw_only=True):
    """A shopper placed an order (``Purchase``); ``occurred_at`` is when it was placed.

    ``items``: 1 to 5000 PurchaseItems, which make at most 512 KiB of JSON.
    """

    kind: ClassVar[str] = "purchases"

    items: Sequence[PurchaseItem]

    def __post_init__(self) -> None:
        super().__post_init__()
        items = self.items
        if not isinstance(items, list | tuple) or not 0 < len(items) <= MAX_ITEMS:
            raise InvalidEvent(
                "items", items, f"it must be a list of 1 to {MAX_ITEMS} PurchaseItems"
            )
        for item in items:
            if type(item) is not PurchaseItem:
                raise InvalidEvent("items", item, "it must be an instance of PurchaseItem itself")
        force_setattr(self, "items", tuple(items))
        size = len(_encode(self))
        if size > MAX_PURCHASE:
            rule = f"it must make at most {MAX_PURCHASE} bytes of JSON (it makes {size})"
            raise InvalidEvent("items", items, rule)


class PageView(BaseEvent, frozen=True, kw_only=True):
    """A shopper opened a page (``PageView``).

    ``page``: which one, and of which type.
    """

    kind: ClassVar[str] = "pageviews"

    page: Page

    def __post_init__(self) -> None:
        super().__post_init__()
        clean_struct(self, "page", "page", Page)


Event = Impression | Click | Purchase | PageView
EVENT_KINDS: tuple[str, ...] = ("impressions", "clicks", "purchases", "pageviews")
