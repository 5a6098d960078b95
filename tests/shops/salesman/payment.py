"""How the shop is paid, in the ways that Salesman's guide describes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from salesman.basket.models import Basket
from salesman.checkout.payment import PaymentError, PaymentMethod
from salesman.orders.models import Order


class PayInAdvance(PaymentMethod):  # type: ignore[misc]  # Salesman has no types here
    """The order waits until a clerk sees the money."""

    identifier = "pay-in-advance"
    label = "Pay in advance"

    def basket_payment(self, basket: Any, request: Any) -> Any:
        order = Order.objects.create_from_basket(basket, request, status="HOLD")
        basket.delete()
        return {"ref": order.ref, "token": order.token}


class PayLater(PaymentMethod):  # type: ignore[misc]  # as above
    """The order is there, and paid in as many parts as the shopper likes."""

    identifier = "pay-later"
    label = "Pay later"

    def get_urls(self) -> list[Any]:
        return [path("instalment/", self.receive_instalment)]

    def basket_payment(self, basket: Any, request: Any) -> Any:
        order = Order.objects.create_from_basket(basket, request)
        basket.delete()
        return {"ref": order.ref, "token": order.token}

    def receive_instalment(self, request: HttpRequest) -> HttpResponse:
        order = Order.objects.get(ref=request.POST["ref"])
        order.pay(Decimal(request.POST["amount"]), request.POST["id"], self.identifier)
        return HttpResponse(order.status)


class PayOnDelivery(PaymentMethod):  # type: ignore[misc]  # as above
    identifier = "pay-on-delivery"
    label = "Pay on delivery"

    def basket_payment(self, basket: Any, request: Any) -> Any:
        order = Order.objects.create_from_basket(basket, request, status="SHIPPED")
        basket.delete()
        return {"ref": order.ref, "token": order.token}


class CreditCard(PaymentMethod):  # type: ignore[misc]  # as above
    """The bank wants a number: the order has it, and gets its lines when the bank has the money."""

    identifier = "credit-card"
    label = "Credit card"

    def get_urls(self) -> list[Any]:
        return [path("webhook/", self.receive_webhook)]

    def basket_payment(self, basket: Any, request: Any) -> Any:
        order = Order.objects.create_from_request(request)
        order.extra["basket_id"] = basket.id
        order.save(update_fields=["extra"])
        return {"ref": order.ref, "token": order.token}

    def receive_webhook(self, request: HttpRequest) -> HttpResponse:
        order = Order.objects.get(ref=request.POST["ref"])
        basket_id = order.extra.pop("basket_id", None)
        if basket_id is None:
            order.status = "PROCESSING"
            order.save(update_fields=["status"])
        else:
            basket = Basket.objects.get(id=basket_id)
            order.populate_from_basket(basket, request, status="PROCESSING")
            basket.delete()
        transaction_id = request.POST["id"]
        if not order.payments.filter(transaction_id=transaction_id).exists():
            order.pay(order.amount_outstanding, transaction_id, self.identifier)
        order.save()  # as shops do, to be sure
        return HttpResponse(order.status)


class HostedPage(PaymentMethod):  # type: ignore[misc]  # as above
    """The bank knows the basket only: there is no order before it has been paid."""

    identifier = "hosted-page"
    label = "Hosted page"

    def get_urls(self) -> list[Any]:
        return [path("webhook/", self.receive_webhook)]

    def basket_payment(self, basket: Any, request: Any) -> Any:
        return {"basket": basket.id}

    def receive_webhook(self, request: HttpRequest) -> HttpResponse:
        basket = Basket.objects.get(id=request.POST["basket"])
        order = Order.objects.create_from_basket(basket, request, status="HOLD")
        order.pay(order.total, request.POST["id"], self.identifier)
        order.status = "PROCESSING"
        order.save()
        basket.delete()
        return HttpResponse(order.ref)


class Refusing(PaymentMethod):  # type: ignore[misc]  # as above
    """The order is made, the bank says no, and all is taken back."""

    identifier = "refusing"
    label = "Refusing"

    def basket_payment(self, basket: Any, request: Any) -> Any:
        with transaction.atomic():
            order = Order.objects.create_from_basket(basket, request, status="PROCESSING")
            order.pay(order.total, "refused", self.identifier)
            raise PaymentError("The bank says no.")
