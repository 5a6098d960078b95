"""How an order is placed and paid in each shop of the recipes: a shopper's way, and the bank's."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.test import Client, override_settings
from djstripe.models import Event, WebhookEndpoint
from payments import PaymentStatus
from plans.models import Order as PlanOrder
from plans.models import Plan, PlanPricing, Pricing, UserPlan

from tests.shops.recipes.models import CartridgeOrder, LfsOrder, Order, Payment
from tests.shops.recipes.orders import PLACED

SECRET = "whsec_recipes"
SALEOR_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OWN_ITEMS = [("cup", "4.95", 1), ("kettle", "29.95", 2)]


class Walk:
    """One order, and what is said of it.

    ``number`` and ``items`` (product, unit price, quantity) are what must become of it.
    """

    number: str = "1001"
    items: ClassVar[list[tuple[str, str, int]]] = OWN_ITEMS

    def order(self, shopper: Client) -> None:
        """Place the order."""
        shopper.post("/checkout/")

    def fail(self, bank: Client) -> Any:
        """Say something of the order that does not mean that it is paid."""
        raise NotImplementedError

    def pay(self, bank: Client) -> Any:
        """Say that the order is paid; may be said again."""
        raise NotImplementedError

    def is_paid(self) -> Any:
        """Whether the shop itself has stored that the order is paid."""
        raise NotImplementedError


class DjangoPayments(Walk):
    """Two payments, through the payment page and the webhook of django-payments itself."""

    def _process(self, bank: Client, total: str, result: str) -> Any:
        values = {"order": Order.objects.get(), "total": total}
        payment, _ = Payment.objects.get_or_create(**values, defaults={"variant": "default"})
        url = f"/payments/process/{payment.token}/"
        return bank.post(f"{url}?verification_result={result}")

    def fail(self, bank: Client) -> Any:
        self._process(bank, "40.00", PaymentStatus.PREAUTH)
        self._process(bank, "64.85", PaymentStatus.REJECTED)
        return self._process(bank, "40.00", PaymentStatus.CONFIRMED)

    def pay(self, bank: Client) -> Any:
        self._process(bank, "40.00", PaymentStatus.CONFIRMED)
        return self._process(bank, "24.85", PaymentStatus.CONFIRMED)

    def is_paid(self) -> Any:
        return Payment.objects.filter(status=PaymentStatus.CONFIRMED).count() == 2


class DjStripe(Walk):
    """Signed events, to dj-stripe's own webhook view; it asks the API for what they are about."""

    def send(self, bank: Client, name: str, **session: Any) -> Any:
        """Send the event ``name`` of a session, signed as Stripe documents it."""
        endpoint, _ = WebhookEndpoint.objects.get_or_create(
            id="we_1", defaults={"secret": SECRET, "enabled_events": ["*"], "url": "https://x.test"}
        )
        facts = {**build_session(), **session}
        event = {
            "id": f"evt_{name}_{facts['payment_status']}",
            "object": "event",
            "api_version": "2026-01-28",
            "created": int(PLACED.timestamp()),
            "data": {"object": facts},
            "livemode": False,
            "request": {"id": None, "idempotency_key": None},
            "type": f"checkout.session.{name}",
        }
        body, now = json.dumps(event), int(time.time())
        signature = hmac.new(SECRET.encode(), f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
        return bank.post(
            f"/stripe/webhook/{endpoint.djstripe_uuid}/",
            body,
            content_type="application/json",
            headers={"Stripe-Signature": f"t={now},v1={signature}"},
        )

    def fail(self, bank: Client) -> Any:
        return self.send(bank, "completed", payment_status="unpaid")

    def pay(self, bank: Client) -> Any:
        # An event that came before is not looked at again; another one of the same session is.
        return self.send(bank, "async_payment_succeeded" if self.is_paid() else "completed")

    def is_paid(self) -> Any:
        return Event.objects.filter(type="checkout.session.completed").exists()


def build_session() -> dict[str, Any]:
    """Return a paid Checkout Session: its amount is in cents."""
    return {
        "id": "cs_1",
        "object": "checkout.session",
        "client_reference_id": "1001",
        "payment_status": "paid",
        "livemode": False,
        "currency": "eur",
        "amount_total": 6485,
        "mode": "payment",
        "created": int(PLACED.timestamp()),
        "customer": None,
        "metadata": {},
        "payment_method_types": ["card"],
    }


class DjangoPlans(Walk):
    """A plan for 10.00 and a tax of 25 %, through the pages of django-plans."""

    number = "plan-1"
    items: ClassVar[list[tuple[str, str, int]]] = [("5", "12.50", 1)]

    def order(self, shopper: Client) -> None:
        free = Plan.objects.create(
            pk=4, name="Free", slug="free", default=True, available=True, visible=True
        )
        gold = Plan.objects.create(pk=5, name="Gold", slug="gold", available=True, visible=True)
        month = Pricing.objects.create(name="Month", period=30)
        price = PlanPricing.objects.create(plan=gold, pricing=month, price="10.00")
        self.user = User.objects.create_user("anna", "anna@example.com")
        UserPlan.objects.get_or_create(user=self.user, defaults={"plan": free, "active": True})
        shopper.force_login(self.user)
        response = shopper.post(f"/plans/order/extend/new/{price.pk}/", {"plan_pricing": price.pk})
        assert response.status_code == 302, response.content
        PlanOrder.objects.update(created=PLACED)

    def fail(self, bank: Client) -> Any:
        return self._say(bank, PlanOrder.STATUS.CANCELED)

    def pay(self, bank: Client) -> Any:
        return self._say(bank, PlanOrder.STATUS.COMPLETED)

    def _say(self, bank: Client, status: int) -> Any:
        bank.force_login(self.user)  # the page wants it, but has no cookie of the shopper
        url = f"/plans/fakepayments/{PlanOrder.objects.get().pk}/"
        with override_settings(DEBUG=True):  # the page is for developers
            return bank.post(url, {"status": status})

    def is_paid(self) -> Any:
        return PlanOrder.objects.get().status == PlanOrder.STATUS.COMPLETED


class Lfs(Walk):
    """An order of the shape that LFS gives it, marked as paid in the back office."""

    number = "2026/7"
    items: ClassVar[list[tuple[str, str, int]]] = [("31", "6.00", 1)]

    def order(self, shopper: Client) -> None:
        shopper.post("/lfs/checkout/")

    def fail(self, bank: Client) -> Any:
        return bank.post("/lfs/checkout/?state=5")

    def pay(self, bank: Client) -> Any:
        return bank.post("/lfs/manage/paid/")

    def is_paid(self) -> Any:
        return LfsOrder.objects.get().state == 1


class Saleor(Walk):
    """A webhook of the form that Saleor documents, signed with its private key."""

    number = "1042"
    items: ClassVar[list[tuple[str, str, int]]] = [
        ("S22", "5.00", 1),
        ("UHJvZHVjdDoyMQ==", "8.23", 3),
    ]

    def __init__(self) -> None:
        self.payload = build_saleor_order()
        self.status = 0

    def order(self, shopper: Client) -> None:
        # The storefront has the cookie, and writes it into the checkout's metadata.
        self.payload["topsort_user_id"] = shopper.cookies["tsuid"].value

    def send(self, bank: Client, key: Any = SALEOR_KEY, **order: Any) -> Any:
        """Send the order, signed with ``key``."""
        body = json.dumps({"order": {**self.payload, **order}}).encode()
        signature = jwt.PyJWS().encode(
            body,
            key,
            "RS256",
            headers={"kid": "1", "crit": ["b64"]},
            is_payload_detached=True,
        )
        headers = {"Saleor-Event": "order_fully_paid", "Saleor-Signature": signature}
        response = bank.post("/saleor/", body, content_type="application/json", headers=headers)
        self.status = response.status_code
        return response

    def fail(self, bank: Client) -> Any:
        return self.send(bank, isPaid=False)

    def pay(self, bank: Client) -> Any:
        return self.send(bank)

    def is_paid(self) -> Any:
        return self.status == 200  # Saleor has stored it long since


def build_saleor_order() -> dict[str, Any]:
    """Return what the subscription of the recipe asks for: one line is a gift, one variant gone."""

    def line(amount: float, quantity: int, sku: str, variant: Any) -> dict[str, Any]:
        gross = {"amount": amount, "currency": "USD"}
        return {
            "quantity": quantity,
            "product_sku": sku,
            "total_price": {"gross": gross},
            "variant": variant,
        }

    return {
        "number": "1042",
        "created": PLACED.isoformat(),
        "origin": "CHECKOUT",
        "isPaid": True,
        "topsort_user_id": None,
        "lines": [
            line(24.69, 3, "S21", {"product": {"id": "UHJvZHVjdDoyMQ=="}}),
            line(5.0, 1, "S22", None),
            line(0.0, 1, "S23", {"product": {"id": "UHJvZHVjdDoyMw=="}}),
        ],
    }


class Cartridge(Walk):
    """An order of the shape that Cartridge gives it, in the shopper's last request."""

    number = "77"
    items: ClassVar[list[tuple[str, str, int]]] = [("cup", "8.00", 2)]

    def order(self, shopper: Client) -> None:
        self.shopper = shopper

    def pay(self, bank: Client) -> Any:
        return self.shopper.post("/cartridge/checkout/")

    def is_paid(self) -> Any:
        return CartridgeOrder.objects.exists()


WALKS = [DjangoPayments, DjStripe, DjangoPlans, Lfs, Saleor, Cartridge]
