"""What a browser may send: Topsort's wire format, less what the server knows better.

A body that a script of ours has made is read by these in one pass, in C, checks of the parts
included. Whatever they refuse is looked at event by event, in ``repairs.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from django_topsort.fields import ClickType  # noqa: TC001 - as below
from django_topsort.parts import (  # noqa: TC001 - msgspec reads the annotations
    Entity,
    InteractionObject,
    Page,
    Placement,
    PurchaseItem,
)


class Shape(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """What all of them have in common."""


class SentEvent(Shape, kw_only=True):
    """Any event.

    ``opaque_user_id`` and ``channel`` are read over: the server decides on them.
    """

    id: str | None = None
    occurred_at: str | None = None
    opaque_user_id: str | None = None
    device_type: str | None = None
    channel: str | None = None


class SentImpression(SentEvent, kw_only=True):
    """Something was seen.

    ``resolved_bid_id`` may be a signed bid.
    """

    resolved_bid_id: str | None = None
    entity: Entity | None = None
    placement: Placement | None = None
    page: Page | None = None
    object: InteractionObject | None = None
    additional_attribution: Entity | None = None
    external_campaign_id: str | None = None
    external_vendor_id: str | None = None


class SentClick(SentImpression, kw_only=True):
    """Something was clicked."""

    click_type: ClickType | None = None


class SentPurchase(SentEvent, kw_only=True):
    """Something was bought."""

    items: Sequence[PurchaseItem] = ()


class SentPageView(SentEvent, kw_only=True):
    """A page was opened."""

    page: Page


class SentEvents(Shape, kw_only=True):
    """A whole body."""

    impressions: list[SentImpression] | None = None
    clicks: list[SentClick] | None = None
    purchases: list[SentPurchase] | None = None
    pageviews: list[SentPageView] | None = None


SENT_CLASSES: dict[str, type[SentEvent]] = {
    "impressions": SentImpression,
    "clicks": SentClick,
    "purchases": SentPurchase,
    "pageviews": SentPageView,
}
