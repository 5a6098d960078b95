from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_scopes import scopes_disabled
from pretix.base.models import Event, Organizer


def pytest_configure(config: pytest.Config) -> None:
    # What pretix and its many packages warn of is theirs.
    config.addinivalue_line("filterwarnings", "ignore")


@pytest.fixture
def concert(transactional_db: None) -> Event:
    """A concert with tickets for 23.00 and free ones, paid by bank transfer."""
    with scopes_disabled():
        organizer = Organizer.objects.create(
            name="Market", slug="market", plugins="pretix.plugins.banktransfer"
        )
        event = Event.objects.create(
            organizer=organizer,
            name="Concert",
            slug="concert",
            live=True,
            date_from=timezone.now() + timedelta(days=30),
            plugins="pretix.plugins.banktransfer,tickets",
        )
        for name, price in (("Seat", "23.00"), ("Child", "0.00")):
            item = event.items.create(name=name, default_price=price, admission=True)
            quota = event.quotas.create(name=name, size=100)
            quota.items.add(item)
        event.settings.set("payment_banktransfer__enabled", True)
        event.settings.set("payment_banktransfer_bank_details_type", "other")
        event.settings.set("payment_banktransfer_bank_details_0", "DE00 0000")
        event.settings.set("attendee_names_asked", False)
        event.settings.set("timezone", "UTC")
    return event


@pytest.fixture
def shopper() -> Client:
    client = Client(headers={"user-agent": "Mozilla/5.0 Firefox/140.0"})
    client.cookies["tsuid"] = "0190d8f2-0000-7000-8000-000000000000"
    return client


def buy(client: Client, event: Any, **counts: int) -> Any:
    """Buy tickets on pretix's own pages; return the order, which is not paid."""
    base = f"/{event.organizer.slug}/{event.slug}"
    with scopes_disabled():
        items = {str(item.name): item.pk for item in event.items.all()}
    chosen = {f"item_{items[name]}": str(count) for name, count in counts.items()}
    client.post(f"{base}/cart/add", chosen, follow=True)
    client.post(f"{base}/checkout/questions/", {"email": "anna@example.com"}, follow=True)
    client.post(f"{base}/checkout/payment/", {"payment": "banktransfer"}, follow=True)
    client.post(f"{base}/checkout/confirm/", {}, follow=True)
    with scopes_disabled():
        return event.orders.get()
