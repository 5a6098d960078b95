"""How Oscar's orders are read, and what its products are called at Topsort."""

from __future__ import annotations

from typing import Any

from django_topsort.purchases.reader import OrderReader


class OscarOrderReader(OrderReader):
    """Reads an order of Oscar: what was charged for each line, with its partner as the vendor.

    ``reported_statuses``: the statuses in which an order counts as bought. By default there are
    none, and an order counts from when it is placed, which in Oscar is after its payment was taken.
    A shop whose orders are paid later names them in a subclass, with those that follow::

        class ShopOrderReader(OscarOrderReader):
            reported_statuses = ("Paid", "Shipped")
    """

    reported_statuses: tuple[str, ...] = ()
    # Orders of the past that came to nothing, by what Oscar's own shops call that.
    cancelled_statuses: tuple[str, ...] = ("Cancelled", "Canceled")
    # Of a product that was deleted the line keeps these. A UPC is the same with every partner.
    sku_names = ("upc", "partner_sku")

    def is_complete(self, order: Any) -> bool:
        """Whether the order is bought: not cancelled, and of a reported status if there are any."""
        if order.status in self.cancelled_statuses:
            return False
        if self.reported_statuses and order.status not in self.reported_statuses:
            return False
        return super().is_complete(order)


def get_product_id(product: Any) -> Any:
    """Return the id of a product of Oscar: of a variant it is that of its parent.

    Lists show the parent, and auctions sell its place in them; the order line holds the variant.
    """
    return product.parent_id or product.pk
