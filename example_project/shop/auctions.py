"""A stand-in for Topsort's auctions: which products are sponsored on this page?

A real marketplace asks `POST /v2/auctions` each time a page is shown. Vendors bid there for the
places on top, and each winner comes back with a `resolvedBidId` that its impression and its click
must carry. Auctions are not part of django_topsort yet, so this module answers in their place: the
same few products always win, under a bid id that nobody has seen before.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.db.models import QuerySet

from shop.models import Product

# In reality: the campaigns that vendors run at Topsort, best bid first.
CAMPAIGNS = [
    "heather-honey",
    "herringbone-blanket",
    "stoneware-mug",
    "copper-watering-can",
    "driftwood-lamp",
    "wildflower-seeds",
    "oak-chopping-board",
    "dark-roast-coffee",
]


# In reality: the campaigns for banners, which a vendor also runs for one product or all.
BANNERS = ["bird-house"]


@dataclass(frozen=True)
class Winner:
    """A product that may stand on top of the page, and the bid that put it there."""

    product: Product
    resolved_bid_id: str


def run_auction(candidates: QuerySet[Product], slots: int) -> list[Winner]:
    """The sponsored products among the candidates, best first; at most `slots`, maybe none.

    Run it for each page that is shown and never keep a winner for another: a bid counts once.
    """
    products = candidates.filter(slug__in=CAMPAIGNS).select_related("vendor")
    ranked = sorted(products, key=lambda product: CAMPAIGNS.index(product.slug))
    return [Winner(product, secrets.token_urlsafe(48)) for product in ranked[:slots]]


def run_banner_auction() -> Winner | None:
    """The banner of the home page and where it leads, or none."""
    product = Product.objects.filter(slug__in=BANNERS).select_related("vendor").first()
    return Winner(product, secrets.token_urlsafe(48)) if product else None
