"""Any event that the package can build, for hypothesis; and one of each kind with every field."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, get_args

from hypothesis import strategies as st

from django_topsort.events import (
    Channel,
    Click,
    ClickType,
    DeviceType,
    Entity,
    EntityType,
    Event,
    Impression,
    InteractionObject,
    ObjectType,
    Page,
    PageType,
    PageView,
    Placement,
    Purchase,
    PurchaseItem,
)

OCCURRED_AT = datetime(2026, 11, 23, 12, 30, 15, 250_000, timezone(timedelta(hours=1)))

# Everything that UTF-8 can encode, with quotes, NUL and what lies beyond 16 bits.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
several_texts = st.lists(texts, min_size=1, max_size=3)
counts = st.integers(min_value=1, max_value=2**31 - 1)
offsets = st.integers(min_value=-(24 * 60 - 1), max_value=24 * 60 - 1).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
aware: st.SearchStrategy[tzinfo] = offsets | st.timezones()
# From the first year in which a wrong calendar is nobody's concern to the last one there is.
times = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis wants it naive
    timezones=aware | st.none(),  # type: ignore[arg-type]  # its overloads know one or the other
)
prices = st.one_of(
    st.decimals(Decimal("1E-12"), Decimal("999999999999.99"), places=12),
    st.decimals(Decimal("0.01"), Decimal(10**9), places=2),
    st.integers(min_value=1, max_value=10**12 - 1),
    st.floats(min_value=0.01, max_value=1e11),
)


def choices(literal: Any) -> st.SearchStrategy[str]:
    return st.sampled_from(get_args(literal))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


entities = st.builds(Entity, id=texts, type=choices(EntityType))
placements = st.builds(
    Placement,
    path=texts,
    position=maybe(counts),
    page=maybe(counts),
    page_size=maybe(counts),
    product_id=maybe(texts),
    category_ids=maybe(texts | several_texts),
    search_query=maybe(texts),
)
pages = st.one_of(
    st.builds(Page, type=choices(PageType), page_id=texts, value=maybe(texts)),
    st.builds(Page, type=st.just("cart"), page_id=texts, value=several_texts),
)
objects = st.builds(
    InteractionObject,
    type=choices(ObjectType),
    asset_id=maybe(texts),
    click_type=maybe(choices(ClickType)),
)
items = st.builds(
    PurchaseItem,
    product_id=texts,
    unit_price=prices,
    quantity=maybe(counts),
    vendor_id=maybe(texts),
)
_shared: dict[str, Any] = {
    "id": texts,
    "opaque_user_id": texts,
    "occurred_at": times,
    "device_type": maybe(choices(DeviceType)),
    "channel": maybe(choices(Channel)),
}
_interaction: dict[str, Any] = {
    **_shared,
    "placement": maybe(placements),
    "page": maybe(pages),
    "object": maybe(objects),
    "external_campaign_id": maybe(texts),
    "external_vendor_id": maybe(texts),
}
_sponsored: dict[str, Any] = {
    **_interaction,
    "resolved_bid_id": texts,
    "entity": maybe(entities),
    "additional_attribution": maybe(entities),
}
_organic: dict[str, Any] = {**_interaction, "entity": entities}

impressions = st.builds(Impression, **_sponsored) | st.builds(Impression, **_organic)
clicks = st.builds(Click, **_sponsored, click_type=maybe(choices(ClickType))) | st.builds(
    Click, **_organic
)
purchases = st.builds(Purchase, **_shared, items=st.lists(items, min_size=1, max_size=3))
pageviews = st.builds(PageView, **_shared, page=pages)
events: st.SearchStrategy[Event] = st.one_of(impressions, clicks, purchases, pageviews)


def build_full_events() -> list[Event]:
    """Return one event of each kind, with every field that the kind has."""
    own: dict[str, Any] = {
        "opaque_user_id": "shopper-1",
        "occurred_at": OCCURRED_AT,
        "device_type": "mobile",
        "channel": "instore",
    }
    interaction: dict[str, Any] = {
        **own,
        "resolved_bid_id": "bid-1",
        "entity": Entity(id="shoe-1", type="product"),
        "additional_attribution": Entity(id="vendor-1", type="vendor"),
        "placement": Placement(
            path="/shoes/carousel",
            position=3,
            page=2,
            page_size=24,
            product_id="shoe-2",
            category_ids=["shoes", "running"],
            search_query="größe 44",
        ),
        "page": Page(type="cart", page_id="/cart", value=["shoe-1", "shoe-2"]),
        "object": InteractionObject(type="banner", asset_id="asset-1", click_type="like"),
        "external_campaign_id": "campaign-1",
        "external_vendor_id": "vendor-9",
    }
    item = PurchaseItem(
        product_id="shoe-1", unit_price=Decimal("12.95"), quantity=2, vendor_id="vendor-1"
    )
    page = Page(type="PDP", page_id="/shoes/1", value="shoe-1")
    return [
        Impression(**interaction, id="impression-1"),
        Click(**interaction, id="click-1", click_type="add-to-cart"),
        Purchase(**own, id="order-1", items=(item,)),
        PageView(**own, id="pageview-1", page=page),
    ]
