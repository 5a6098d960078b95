"""The market's pages; ``?number=`` names an order, ``?id=`` a visit."""

from __future__ import annotations

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from django_topsort.signals import order_paid
from tests.orders import place_order
from tests.servers.project.urls import plain, plain_async, silent
from tests.shop.models import Order


def buy(request: HttpRequest) -> HttpResponse:
    """Place an order that is paid; with ``?fail=1`` the shop then thinks better of it."""
    with transaction.atomic():
        order = place_order(str(request.GET["number"]))
        order_paid.send(sender=Order, order=order, request=request, opaque_user_id="shopper-1")
        if "fail" in request.GET:
            raise RuntimeError("the card is refused")
    return HttpResponse("thank you")


def buy_and_fail(request: HttpRequest) -> HttpResponse:
    """Fail after all is done, which ATOMIC_REQUESTS undoes."""
    order = place_order(str(request.GET["number"]))
    order_paid.send(sender=Order, order=order, request=request, opaque_user_id="shopper-1")
    raise RuntimeError("the page of thanks cannot be made")


def buy_at_once(request: HttpRequest) -> HttpResponse:
    """Place an order with no transaction but that of ATOMIC_REQUESTS."""
    order = place_order(str(request.GET["number"]))
    order_paid.send(sender=Order, order=order, request=request, opaque_user_id="shopper-1")
    return HttpResponse("thank you")


def buy_without_order(request: HttpRequest) -> HttpResponse:
    """Report an order that is kept elsewhere."""
    number = str(request.GET["number"])
    order = {"number": number, "lines": [{"sku": "shoe-1", "line_total": "5.00"}]}
    order_paid.send(sender=None, order=order, opaque_user_id="shopper-1")
    return HttpResponse("thank you")


def count_orders(request: HttpRequest) -> HttpResponse:
    """Ask the database, as nearly every page of a shop does."""
    return HttpResponse(str(Order.objects.count()))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("silent/", silent),
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("buy/", buy),
    path("buy-at-once/", buy_at_once),
    path("buy-and-fail/", buy_and_fail),
    path("buy-without-order/", buy_without_order),
    path("orders/", count_orders),
]
