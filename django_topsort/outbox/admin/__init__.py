"""The outbox in the admin: what is the matter, and what can be done about it."""

from __future__ import annotations

from django_topsort.outbox.admin.events import OutboxEventAdmin
from django_topsort.outbox.admin.shoppers import RememberedShopperAdmin

__all__ = ["OutboxEventAdmin", "RememberedShopperAdmin"]
