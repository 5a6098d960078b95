"""The pages of the shop, and what LFS and Cartridge do in theirs."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from tests.shops.recipes.lfs_names import PAID
from tests.shops.recipes.models import LfsOrder
from tests.shops.recipes.orders import place_cartridge_order, place_lfs_order, place_order


def checkout(request: HttpRequest) -> HttpResponse:
    begin_payment = import_string("shop.checkout.begin_payment")
    with transaction.atomic():
        order = place_order()
        begin_payment(request, order)
    return HttpResponse(order.number)


def submit_to_lfs(request: HttpRequest) -> HttpResponse:
    signal = import_string("lfs.core.signals.order_submitted")
    with transaction.atomic():
        order = place_lfs_order(int(request.GET.get("state", 0)))
        signal.send(sender=order, request=request)
    return HttpResponse("thanks")


def mark_lfs_order_paid(request: HttpRequest) -> HttpResponse:
    signal = import_string("lfs.core.signals.order_paid")
    with transaction.atomic():
        order = LfsOrder.objects.get()
        order.state = PAID
        order.save()
        signal.send(sender=order, request=request)
    return HttpResponse("paid")


def finish_cartridge_checkout(request: HttpRequest) -> HttpResponse:
    handle_order = import_string("shop.cartridge.report_checkout")
    handle_order(request, None, place_cartridge_order())
    return HttpResponse("thanks")
