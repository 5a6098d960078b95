"""The bank's webhook, written as the packages for payment write it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from oscar.apps.order.signals import order_placed
from oscar.apps.shipping.methods import NoShippingRequired
from oscar.core.loading import get_class, get_model

OrderPlacementMixin = get_class("checkout.mixins", "OrderPlacementMixin")


@method_decorator(csrf_exempt, name="dispatch")
class BankView(OrderPlacementMixin, View):  # type: ignore[misc,valid-type]  # Oscar has no types
    """The bank says that an order was paid; it says so again where it got no answer."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        number = request.POST["number"]
        known = get_model("order", "Order").objects.filter(number=number).first()
        if known is not None:
            order_placed.send(sender=self, order=known, user=known.user)
            return HttpResponse("known")
        basket = get_model("basket", "Basket").objects.get(pk=int(number) - 100000)
        basket.strategy = get_class("partner.strategy", "Selector")().strategy(request=request)
        get_class("offer.applicator", "Applicator")().apply(basket, basket.owner, request)
        shipping = NoShippingRequired()
        charge = shipping.calculate(basket)
        total = get_class("checkout.calculators", "OrderTotalCalculator")().calculate(
            basket, charge
        )
        kwargs = {} if basket.owner else {"guest_email": "guest@example.com"}
        order = self.place_order(
            order_number=number,
            user=basket.owner,
            basket=basket,
            shipping_address=None,
            shipping_method=shipping,
            shipping_charge=charge,
            order_total=total,
            **kwargs,
        )
        basket.submit()
        return HttpResponse(str(order.pk))
