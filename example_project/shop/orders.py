"""From the basket to a paid order. Both steps tell Topsort with a signal."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django_topsort.signals import order_paid, order_placed

from shop.basket import Basket
from shop.models import Order, OrderLine


@transaction.atomic
def place_order(request: HttpRequest, basket: Basket, address: dict[str, Any]) -> Order:
    """Make an order of what is in the basket, and empty it."""
    user = request.user if request.user.is_authenticated else None
    order = Order.objects.create(user=user, **address)
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            product=line.product,
            vendor=line.product.vendor,
            quantity=line.quantity,
            unit_price=line.product.price,
        )
        for line in basket.lines
    )
    basket.clear()
    # Here the shopper is known; a payment is often announced by the bank, without a cookie.
    order_placed.send(sender=Order, order=order, request=request)
    return order


@transaction.atomic
def pay_order(request: HttpRequest, order: Order) -> None:
    """Note that an order has been paid. A second payment of the same order changes nothing."""
    unpaid = Order.objects.filter(pk=order.pk, paid_at=None)
    if unpaid.update(paid_at=timezone.now()):
        order_paid.send(sender=Order, order=order, request=request)
