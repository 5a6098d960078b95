"""What events are made of: placement, page, entity, object and item, as the API's schema has them.

The checks that a page makes most often stand here in full, before the call that does the rest: the
call alone costs as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from django_topsort.exceptions import InvalidEvent
from django_topsort.fields import (
    CLICK_TYPES,
    ENTITY_TYPES,
    MAX_CATEGORIES,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_TEXT,
    OBJECT_TYPES,
    PAGE_TYPES,
    ClickType,
    EntityType,
    ObjectType,
    PageType,
    clean_choice,
    clean_integer,
    clean_price,
    clean_text,
    clean_texts,
    get_exact_text,
)


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


class Entity(Part, frozen=True, kw_only=True):
    """The product or vendor of an organic event (``EventEntity``).

    ``id``: the marketplace's id of it. ``type``: ``"product"`` or ``"vendor"``.
    """

    id: str
    type: EntityType

    def __post_init__(self) -> None:
        text: Any = self.id
        if not (type(text) is str and 0 < len(text) <= MAX_TEXT and text.isascii()):
            clean_text(self, "id", "entity.id")
        text = self.type
        if not (type(text) is str and text in ENTITY_TYPES):
            clean_choice(self, "type", "entity.type", ENTITY_TYPES)


class Placement(Part, frozen=True, kw_only=True):
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
        path, position, page, page_size = self.path, self.position, self.page, self.page_size
        if not (type(path) is str and 0 < len(path) <= MAX_TEXT and path.isascii()):
            clean_text(self, "path", "placement.path")
        if position is not None and not (type(position) is int and 0 < position <= MAX_INTEGER):
            clean_integer(self, "position", "placement.position")
        if page is not None and not (type(page) is int and 0 < page <= MAX_INTEGER):
            clean_integer(self, "page", "placement.page")
        if page_size is not None and not (type(page_size) is int and 0 < page_size <= MAX_INTEGER):
            clean_integer(self, "page_size", "placement.page_size")
        if self.product_id is not None:
            clean_text(self, "product_id", "placement.product_id")
        if self.category_ids is not None:
            clean_texts(self, "category_ids", "placement.category_ids", MAX_CATEGORIES)
        if self.search_query is not None:
            clean_text(self, "search_query", "placement.search_query")


class Page(Part, frozen=True, kw_only=True):
    """The page on which an event happened (``Page``).

    ``type``: what is shown there. ``page_id``: such as its path. ``value``: its category, product
    or search text; for a cart a list of product ids.
    """

    type: PageType
    page_id: str
    value: Sequence[str] | str | None = None

    def __post_init__(self) -> None:
        clean_choice(self, "type", "page.type", PAGE_TYPES)
        clean_text(self, "page_id", "page.page_id")
        if self.value is None:
            return
        if get_exact_text(self.value) is not None:
            clean_text(self, "value", "page.value")
        elif self.type == "cart":
            clean_texts(self, "value", "page.value", MAX_ITEMS)
        else:
            rule = "it must be one text; only a page of type 'cart' has a list"
            raise InvalidEvent("page.value", self.value, rule)


class InteractionObject(Part, frozen=True, kw_only=True):
    """What was seen or clicked in an organic event (``InteractionObject``).

    ``type``: what it is. ``asset_id``: of a banner. ``click_type``: what the shopper did with a
    listing.
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


class PurchaseItem(Part, frozen=True, kw_only=True):
    """One product of a purchase (``PurchaseItem``).

    ``product_id``: the marketplace's id of it. ``unit_price``: of a single item, above 0, in the
    marketplace's currency (not in cents). ``quantity``: from 1; Topsort takes 1 where it is left
    out. ``vendor_id``: needed where several vendors sell the product, and for attribution to a
    vendor's other products.
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
