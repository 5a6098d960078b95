"""Readers that a shop may have of its own."""

from __future__ import annotations

from typing import Any

from django_topsort.contrib.salesman.reader import SalesmanOrderReader
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot


class PlacedOrderReader(SalesmanOrderReader):
    """Where every order counts that is placed."""

    reported_statuses = ("CREATED", "HOLD", "PROCESSING", "SHIPPED", "COMPLETED")


class BrokenReader(SalesmanOrderReader):
    def get_lines(self, order: Any) -> list[Any]:
        raise ValueError("these lines cannot be read")


class QueryingReader(SalesmanOrderReader):
    """Breaks the transaction in which it is asked, on databases that are strict about it."""

    @property
    def reported_statuses(self) -> tuple[str, ...]:  # type: ignore[override]  # it is broken
        raise ValueError("these statuses cannot be read")


def read_order(order: Any) -> OrderSnapshot:
    """Take whatever comes; the status does not matter."""
    lines = tuple(
        LineSnapshot(product_id=f"own-{line.code}", total=line.total, quantity=line.quantity)
        for line in order.items.all()
    )
    return OrderSnapshot(
        key=f"own-{order.ref}",
        placed_at=order.date_created,
        lines=lines,
        opaque_user_id=order.extra.get("topsort_user_id"),
    )
