"""The four kinds of events and their parts: the schema of ``POST /v2/events``.

An instance is valid or it is not built: wrong data raises InvalidEvent, which names the field, the
value and the rule. Instances are frozen, so an event is the same at each attempt to send it.
Attributes (``resolved_bid_id``) go out as Topsort spells them (``resolvedBidId``); what is None is
left out, because the API refuses null.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from django_topsort.exceptions import InvalidEvent
from django_topsort.fields import (
    CHANNELS,
    CLICK_TYPES,
    DEVICE_TYPES,
    ENTITY_TYPES,
    MAX_ITEMS,
    MAX_TEXT,
    OBJECT_TYPES,
    PAGE_TYPES,
    Channel,
    ClickType,
    DeviceType,
    EntityType,
    ObjectType,
    PageType,
    clean_choice,
    clean_integer,
    clean_price,
    clean_struct,
    clean_text,
    clean_texts,
    clean_time,
)
from django_topsort.ids import build_id


class Part(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename="camel",
    gc=False,  # frozen, and made of texts and numbers: there is no cycle to look for
):
    """What the events and their parts have in common."""


class Entity(Part, kw_only=True):
    """The product or vendor of an organic event (``EventEntity``).

    ``id``: the marketplace's id of it. ``type``: ``"product"`` or ``"vendor"``.
    """

    id: str
    type: EntityType

    def __post_init__(self) -> None:
        clean_text(self, "id", "entity.id")
        clean_choice(self, "type", "entity.type", ENTITY_TYPES)


class Placement(Part, kw_only=True):
    """Where on a page an event happened (``Placement``).

    ``path``: the URL's path without its query, with a component's name after it where a page has
    several lists (``"/product/1/carousel"``). ``position``: of the item in its list, from 1.
    ``page``: of a paginated list, from 1. ``page_size``: items on each page of it.
    ``product_id`` and ``category_ids`` (one or several): whose page this is. ``search_query``: as
    it stood in the auction.
    """

    path: str
    position: int | None = None
    page: int | None = None
    page_size: int | None = None
    product_id: str | None = None
    category_ids: Sequence[str] | str | None = None
    search_query: str | None = None

    def __post_init__(self) -> None:
        path = self.path
        if not (type(path) is str and 0 < len(path) <= MAX_TEXT and path.isascii()):
            clean_text(self, "path", "placement.path")
        if self.position is not None:
            clean_integer(self, "position", "placement.position")
        if self.page is not None:
            clean_integer(self, "page", "placement.page")
        if self.page_size is not None:
            clean_integer(self, "page_size", "placement.page_size")
        if self.product_id is not None:
            clean_text(self, "product_id", "placement.product_id")
        if self.category_ids is not None:
            clean_texts(self, "category_ids", "placement.category_ids")
        if self.search_query is not None:
            clean_text(self, "search_query", "placement.search_query")


class Page(Part, kw_only=True):
    """The page on which an event happened (``Page``).

    ``page_id``: such as its path. ``value``: its category, product or search text; for a cart a
    list of product ids.
    """

    type: PageType
    page_id: str
    value: Sequence[str] | str | None = None

    def __post_init__(self) -> None:
        clean_choice(self, "type", "page.type", PAGE_TYPES)
        clean_text(self, "page_id", "page.page_id")
        if self.value is None:
            return
        if isinstance(self.value, str):
            clean_text(self, "value", "page.value")
        elif self.type == "cart":
            clean_texts(self, "value", "page.value")
        else:
            rule = "it must be one text; only a page of type 'cart' has a list"
            raise InvalidEvent("page.value", self.value, rule)


class InteractionObject(Part, kw_only=True):
    """What was seen or clicked in an organic event (``InteractionObject``).

    ``asset_id``: of a banner. ``click_type``: what the shopper did with a listing.
    """

    type: ObjectType
    asset_id: str | None = None
    click_type: ClickType | None = None

    def __post_init__(self) -> None:
        clean_choice(self, "type", "object.type", OBJECT_TYPES)
        if self.asset_id is not None:
            clean_text(self, "asset_id", "object.asset_id")
        if self.click_type is not None:
            clean_choice(self, "click_type", "object.click_type", CLICK_TYPES)


class PurchaseItem(Part, kw_only=True):
    """One product of a purchase (``PurchaseItem``).

    ``unit_price``: of a single item, above 0, in the marketplace's currency (not in cents).
    ``quantity``: from 1; Topsort takes 1 where it is left out. ``vendor_id``: needed where several
    vendors sell the product, and for attribution to a vendor's other products.
    """

    product_id: str
    unit_price: Decimal
    quantity: int | None = None
    vendor_id: str | None = None

    def __post_init__(self) -> None:
        clean_text(self, "product_id", "items.product_id")
        clean_price(self, "unit_price", "items.unit_price")
        if self.quantity is not None:
            clean_integer(self, "quantity", "items.quantity")
        if self.vendor_id is not None:
            clean_text(self, "vendor_id", "items.vendor_id")


class BaseEvent(Part, kw_only=True):
    """What every event carries.

    ``id``: the same at each attempt, so that a repeat is harmless; filled in when absent.
    ``occurred_at``: aware, or naive in the current time zone; now when absent.
    ``opaque_user_id``: names the shopper without saying who that is. ``device_type``: ``"desktop"``
    or ``"mobile"``. ``channel``: ``"onsite"``, ``"offsite"`` or ``"instore"``.
    """

    kind: ClassVar[str]

    opaque_user_id: str
    id: str = field(default_factory=build_id)
    occurred_at: datetime = field(default_factory=partial(datetime.now, UTC))
    device_type: DeviceType | None = None
    channel: Channel | None = None

    def __post_init__(self) -> None:
        clean_text(self, "id", "id")
        clean_time(self, "occurred_at", "occurred_at")
        clean_text(self, "opaque_user_id", "opaque_user_id")
        if self.device_type is not None:
            clean_choice(self, "device_type", "device_type", DEVICE_TYPES)
        if self.channel is not None:
            clean_choice(self, "channel", "channel", CHANNELS)


class Interaction(BaseEvent, kw_only=True):
    """What impressions and clicks share.

    ``resolved_bid_id``: from the auction, for what is sponsored. ``entity``: the product or vendor,
    for what is not; Topsort disregards it beside a bid. One of the two is required.
    ``additional_attribution``: the product or vendor behind a banner's bid. ``external_campaign_id``
    and ``external_vendor_id``: the marketplace's own ids.
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
        super().__post_init__()
        if self.resolved_bid_id is not None:
            clean_text(self, "resolved_bid_id", "resolved_bid_id")
        elif self.entity is None:
            # The schema lets it pass; the API's description requires one of the two.
            rule = "it must be given where there is no entity"
            raise InvalidEvent("resolved_bid_id", None, rule)
        if self.entity is not None:
            clean_struct(self, "entity", "entity", Entity)
        if self.placement is not None:
            clean_struct(self, "placement", "placement", Placement)
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


class Impression(Interaction, kw_only=True):
    """A product or banner became visible to a shopper (``Impression``)."""

    kind: ClassVar[str] = "impressions"


class Click(Interaction, kw_only=True):
    """A shopper clicked on a product or banner; vendors are charged for it (``Click``).

    ``click_type``: what the shopper did, for sponsored clicks only.
    """

    kind: ClassVar[str] = "clicks"

    click_type: ClickType | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.click_type is not None:
            clean_choice(self, "click_type", "click_type", CLICK_TYPES)


class Purchase(BaseEvent, kw_only=True):
    """A shopper placed an order (``Purchase``); ``occurred_at`` is when it was placed.

    ``items``: 1 to 5000 PurchaseItems.
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
            if not isinstance(item, PurchaseItem):
                raise InvalidEvent("items", item, "it must be a PurchaseItem")
        force_setattr(self, "items", tuple(items))


class PageView(BaseEvent, kw_only=True):
    """A shopper opened a page (``PageView``)."""

    kind: ClassVar[str] = "pageviews"

    page: Page

    def __post_init__(self) -> None:
        super().__post_init__()
        clean_struct(self, "page", "page", Page)


Event = Impression | Click | Purchase | PageView
EVENT_KINDS: tuple[str, ...] = ("impressions", "clicks", "purchases", "pageviews")
