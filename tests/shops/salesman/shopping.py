"""What people do in the shop, by its own endpoints."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from django_topsort.delivery import flush
from django_topsort.testing import FakeApi

ADDRESS = {"email": "who@example.com", "shipping_address": "Here", "billing_address": "There"}


class Shopper:
    """A browser."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client()
        if user is not None:
            self.client.force_login(user)

    @property
    def id(self) -> str:
        return self.client.cookies["tsuid"].value

    def look_around(self) -> None:
        assert self.client.get("/").status_code == 200

    def add(self, product: Any, quantity: int = 1) -> None:
        body = {
            "product_type": product._meta.label,
            "product_id": product.pk,
            "quantity": quantity,
        }
        assert self.client.post("/api/basket/", body, JSON).status_code == 201

    def try_checkout(self, method: str, extra: dict[str, object] | None = None) -> Any:
        body = {**ADDRESS, "payment_method": method, "extra": extra or {}}
        return self.client.post("/api/checkout/", body, JSON)

    def check_out(self, method: str, extra: dict[str, object] | None = None) -> dict[str, Any]:
        answer = self.try_checkout(method, extra)
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def get_order(self, found: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.get(f"/api/orders/{found['ref']}/", {"token": found["token"]})
        assert answer.status_code == 200
        order: dict[str, Any] = answer.json()
        return order


JSON = "application/json"


def tell_webhook(method: str, **body: object) -> str:
    """Let a bank speak, which has no cookie of anybody's."""
    answer = Client().post(f"/api/payment/{method}/", body)
    assert answer.status_code == 200
    return answer.content.decode()


def get_purchases(api: FakeApi) -> list[dict[str, Any]]:
    """Return what the API has of purchases when all that waits was sent."""
    assert flush(10)
    assert api.repeated == []
    return [dict(event) for event in api.purchases]


def get_items(purchase: dict[str, Any]) -> list[tuple[str, int, object]]:
    return [(i["productId"], i["quantity"], i["unitPrice"]) for i in purchase["items"]]
