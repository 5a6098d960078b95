"""What the processes of these tests record."""

from __future__ import annotations

from decimal import Decimal


def record_click(name: str) -> None:
    from django_topsort.events import Click, Entity
    from django_topsort.tracking import record

    record(Click(id=name, opaque_user_id="u-1", entity=Entity(id="p-1", type="product")))


def record_order(name: str) -> None:
    from django_topsort.events import Purchase, PurchaseItem
    from django_topsort.tracking import record

    item = PurchaseItem(product_id="p-1", unit_price=Decimal("9.95"))
    record(Purchase(id=name, opaque_user_id="u-1", items=(item,)))
