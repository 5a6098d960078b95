"""How Salesman's orders are read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django_topsort.conf import topsort_settings
from django_topsort.contrib.salesman.shoppers import NO_CONSENT
from django_topsort.logs import FieldLogger
from django_topsort.purchases.products import get_product_id
from django_topsort.purchases.reader import OrderReader, list_lines, prefetch_products
from django_topsort.purchases.registry import find_registered_product_id
from django_topsort.purchases.values import get_value, read_id, show_key

logger = FieldLogger(logging.getLogger(__name__))


def get_code(product: Any) -> object:
    """Return the code of a product: primary keys of a shop's several product models are the same.

    It is one of the three things that Salesman asks of each product model.
    """
    return product.code


class SalesmanOrderReader(OrderReader):
    """Reads an order of Salesman's own model, or of the one that ``SALESMAN_ORDER_MODEL`` names.

    ``reported_statuses``: those in which an order counts as bought. Besides, one that can still be
    paid does when the sum of its payments covers its total. A shop with other statuses names them
    in a subclass, and this in ``TOPSORT_ORDER_READER``.
    """

    reported_statuses: Sequence[str] = ("PROCESSING", "SHIPPED", "COMPLETED")

    key_names = ("ref",)
    placed_at_names = ("date_created",)
    line_total_names = ("total",)

    def is_complete(self, order: Any) -> bool:
        """Whether the order's status, or what has been paid, makes it a purchase."""
        if not super().is_complete(order):
            return False
        if order.status not in self.reported_statuses and not self.is_paid(order):
            return False
        if (order.extra or {}).get(NO_CONSENT):
            said = "order not reported order=%s reason=no_consent"
            logger.info(said, show_key(self.get_key(order)))
            return False
        return True

    def is_paid(self, order: Any) -> bool:
        """Whether an order that awaits its payment has all of it by now.

        Salesman's own ``is_paid`` holds for an order without lines, and is remembered by the
        instance. Which statuses await a payment is said by the shop's ``get_payable()``.
        """
        if order.total <= 0 or order.status not in order.Status.get_payable():
            return False
        # Where the order was read: a replica may lag. Not all(), which may be of earlier.
        payments = order.payments.using(order._state.db)
        return sum((payment.amount for payment in payments), Decimal(0)) >= Decimal(order.total)

    def get_lines(self, order: Any) -> list[Any]:
        """Return the order's lines, with their products fetched in one query for each model."""
        lines = list_lines(get_value(order, "items"))
        # Django cannot fetch the products of a model that the shop has no more.
        known = [line for line in lines if _has_model(line.product_content_type_id)]
        if known:
            prefetch_products(known, ("product",))
        return lines

    def get_product_id(self, line: Any) -> str | None:
        """Return the code that the line keeps of its product, unless the project says otherwise."""
        product = self.get_product(line)
        if product is not None and not _goes_by_code(product):
            return get_product_id(product)
        # Not line.code, which is the text "(no code)" where there is none.
        kept = read_id((line.product_data or {}).get("code"))
        return get_product_id(product) if kept is None and product is not None else kept


def _has_model(content_type_id: int | None) -> bool:
    from django.contrib.contenttypes.models import ContentType

    if content_type_id is None:
        return False
    return ContentType.objects.get_for_id(content_type_id).model_class() is not None


def _goes_by_code(product: Any) -> bool:
    is_hook = topsort_settings.TOPSORT_PRODUCT_ID is not None
    return not is_hook and find_registered_product_id(product) is get_code
