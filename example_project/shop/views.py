"""The pages of the shop. What is seen is said by browsers, of what the templates tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from shop.auctions import run_auction, run_banner_auction
from shop.basket import Basket
from shop.forms import BasketForm, CheckoutForm
from shop.models import Category, Order, Product
from shop.orders import pay_order, place_order

PAGE_SIZE = 12
SPONSORED_SLOTS = 3


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    context = {"page_type": "home", "banner": run_banner_auction()}
    return show_listing(request, Product.objects.all(), context)


@require_GET
def category(request: HttpRequest, slug: str) -> HttpResponse:
    category = get_object_or_404(Category, slug=slug)
    context = {"page_type": "category", "page_id": slug, "category": category}
    return show_listing(request, category.products.all(), context)


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "").strip()
    matches = (
        Q(name__icontains=query)
        | Q(description__icontains=query)
        | Q(vendor__name__icontains=query)
        | Q(category__name__icontains=query)
    )
    context = {"page_type": "search", "query": query}
    return show_listing(request, Product.objects.filter(matches), context)


def show_listing(
    request: HttpRequest, products: QuerySet[Product], context: Mapping[str, object]
) -> HttpResponse:
    """A page of products with the bids that put them there: sponsored ones first."""
    page = Paginator(products.select_related("vendor"), PAGE_SIZE).get_page(request.GET.get("page"))
    winners = run_auction(products, SPONSORED_SLOTS)
    sponsored = [winner.product for winner in winners]
    listing: list[tuple[Product, str | None]] = [
        *((winner.product, winner.resolved_bid_id) for winner in winners),
        *((product, None) for product in page if product not in sponsored),
    ]
    return render(request, "shop/listing.html", {"page": page, "listing": listing, **context})


@require_GET
def product(request: HttpRequest, slug: str) -> HttpResponse:
    product = get_object_or_404(Product.objects.select_related("vendor", "category"), slug=slug)
    more = product.vendor.products.exclude(pk=product.pk)[:4]
    return render(request, "shop/product.html", {"product": product, "more": more})


@require_GET
def basket(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/basket.html")


@require_POST
def change_basket(request: HttpRequest, action: Literal["add", "set"]) -> HttpResponse:
    """Add to what is there already, or set the quantity; zero takes the product out."""
    form = BasketForm(request.POST)
    if not form.is_valid():
        messages.error(request, "That did not work: choose a quantity between 0 and 20.")
    else:
        product, quantity = form.cleaned_data["product"], form.cleaned_data["quantity"]
        basket = Basket(request.session)
        if action == "add":
            basket.add(product, quantity)
            messages.success(request, f"{product} is in your basket.")
        else:
            basket.set(product, quantity)
    return redirect("shop:basket")


@require_http_methods(["GET", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    basket = Basket(request.session)
    if not basket:
        return redirect("shop:basket")
    data = request.POST if request.method == "POST" else None
    form = CheckoutForm(data, initial=get_known_address(request))
    if form.is_valid():
        order = place_order(request, basket, form.cleaned_data)
        request.session["orders"] = [*request.session.get("orders", []), order.number]
        return redirect("shop:pay", order.number)
    return render(request, "shop/checkout.html", {"form": form})


def get_known_address(request: HttpRequest) -> dict[str, str]:
    """What a customer need not type again; nothing for a guest."""
    user = request.user
    if not user.is_authenticated:
        return {}
    return {"name": user.get_full_name(), "email": user.email}


@require_http_methods(["GET", "POST"])
def pay(request: HttpRequest, number: str) -> HttpResponse:
    """A stand-in for the page of a payment provider."""
    order = get_own_order(request, number)
    if request.method == "POST":
        pay_order(request, order)
        return redirect("shop:thanks", order.number)
    return render(request, "shop/pay.html", {"order": order})


@require_GET
def thanks(request: HttpRequest, number: str) -> HttpResponse:
    order = get_own_order(request, number)
    if order.paid_at is None:
        return redirect("shop:pay", order.number)
    return render(request, "shop/thanks.html", {"order": order})


def get_own_order(request: HttpRequest, number: str) -> Order:
    """The order, if it was made in this session; for anybody else it does not exist."""
    orders = Order.objects.filter(number__in=request.session.get("orders", []))
    return get_object_or_404(orders.prefetch_related("lines__product__vendor"), number=number)
