"""How much room an event takes, without making its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_topsort.events import PageView, Purchase

if TYPE_CHECKING:
    from django_topsort.events import Event

BASE_BYTES = 330  # an event's JSON without the texts of varying length
ITEM_BYTES = 80  # a purchase's item without its ids
WIDE = 2  # bytes of a character in a text that is not all ASCII: they take 1 to 4


def estimate_size(event: Event) -> int:
    """Return about how many bytes ``event`` makes as JSON; all texts of varying length count."""
    # type() and not isinstance(), which takes five times as long for a class of msgspec.
    one: Any = event
    if type(one) is Purchase:
        return BASE_BYTES + sum(
            ITEM_BYTES + _measure(item.product_id) + _measure(item.vendor_id) for item in one.items
        )
    size = BASE_BYTES
    page = one.page
    if page is not None:
        size += _measure(page.page_id) + _measure_any(page.value)
    if type(one) is PageView:
        return size
    if one.resolved_bid_id is not None:
        size += len(one.resolved_bid_id)
    if one.entity is not None:
        size += _measure(one.entity.id)
    placement = one.placement
    if placement is not None:
        size += _measure(placement.path)
        if placement.category_ids is not None:
            size += _measure_any(placement.category_ids)
        if placement.search_query is not None:
            size += _measure(placement.search_query)
        if placement.product_id is not None:
            size += _measure(placement.product_id)
    return size + _measure_rest(one)


def _measure_rest(one: Any) -> int:
    """Return the bytes of what few impressions and clicks have."""
    size = 0
    if one.additional_attribution is not None:
        size += _measure(one.additional_attribution.id)
    if one.external_campaign_id is not None:
        size += _measure(one.external_campaign_id)
    if one.external_vendor_id is not None:
        size += _measure(one.external_vendor_id)
    if one.object is not None:
        size += _measure(one.object.asset_id)
    return size


def _measure(text: str | None) -> int:
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text) * WIDE


def _measure_any(texts: Any) -> int:
    """Return the bytes of one text, of several, or of none."""
    if texts is None or isinstance(texts, str):
        return _measure(texts)
    return sum(_measure(text) + 3 for text in texts)
