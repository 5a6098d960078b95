"""Readers that a shop of Oscar may name in TOPSORT_ORDER_READER."""

from __future__ import annotations

from typing import Any

from django_topsort.contrib.oscar.reader import OscarOrderReader


class PaidReader(OscarOrderReader):
    """An order counts when it is paid, by whatever way, and afterwards."""

    reported_statuses = ("Paid", "Shipped")


class PrefixReader(OscarOrderReader):
    """A project whose other orders have the same numbers."""

    def get_key(self, order: Any) -> str:
        return f"shop-{order.number}"


def fail(order: Any) -> None:
    raise ZeroDivisionError
