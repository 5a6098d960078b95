"""What Oscar's pages are to Topsort: their types, and the places of the products on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django_topsort.fields import MAX_TEXT
from django_topsort.tracking import set_placement, track_impression, track_pageview

if TYPE_CHECKING:
    from django.http import HttpRequest

# Their page views are reported by Oscar's signals, which tell also where a shop has templates of
# its own.
SIGNALLED = frozenset({"catalogue:detail", "search:search"})


def report_product_page(request: HttpRequest, product: Any) -> None:
    """Report the page of ``product``; the lists on it are shown beside this product."""
    track_pageview(request, "PDP", value=product)
    set_placement(request, product_id=product)


def report_search_page(request: HttpRequest, query: str) -> None:
    """Report the page of a search, of whose text as much counts as an event can hold."""
    text = query.strip()[:MAX_TEXT]
    track_pageview(request, "search", value=text)
    set_placement(request, search_query=text)


def report_page(request: HttpRequest, context: Mapping[str, Any]) -> None:
    """Report the page that is rendered with ``context``, unless a signal has reported it."""
    match = request.resolver_match
    name = match.view_name if match is not None else ""
    if not name or name in SIGNALLED or name.startswith("dashboard"):
        return
    category = context.get("category")
    if name == "catalogue:category" and category is not None:
        track_pageview(request, "category", value=category)
        set_placement(request, category_ids=category)
    elif name == "catalogue:index":
        is_home = request.path == str(context.get("homepage_url"))
        track_pageview(request, "home" if is_home else "category")
    elif name == "basket:summary":
        products = [line.product for line in request.basket.all_lines()]  # type: ignore[attr-defined]  # Oscar's middleware sets it
        track_pageview(request, "cart", value=products)
    else:
        # By its name, because the paths of accounts and orders name persons.
        track_pageview(request, "other", page_id=name)


def report_product(request: HttpRequest, context: Mapping[str, Any]) -> None:
    """Report that the ``product`` of ``context`` is shown, at its place in its list.

    A list of the shop's own may give its product a ``topsort_bid_id``, the ``resolvedBidId`` of the
    auction that it won; then the impression is sponsored.
    """
    product = context["product"]
    fields: dict[str, Any] = {"component": get_component(context)}
    loop = context.get("forloop")
    if loop:
        fields["position"] = loop["counter"]
    page = context.get("page_obj")
    if page is not None and fields["component"] is None:
        fields["page"] = page.number
        fields["page_size"] = page.paginator.per_page
    bid_id = getattr(product, "topsort_bid_id", None)
    track_impression(request, product, resolved_bid_id=bid_id, **fields)


def get_component(context: Mapping[str, Any]) -> str | None:
    """Return the name of a list beside the page's own one, by what Oscar's templates call it."""
    if "products_sliced" in context:
        return "recently-viewed"
    return "recommended" if "recommended_products" in context else None
