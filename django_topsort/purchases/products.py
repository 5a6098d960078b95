"""The ids of products and vendors at Topsort, the same in auctions and in every kind of event."""

from __future__ import annotations

from django_topsort.conf import topsort_settings
from django_topsort.purchases.values import is_plain_id, read_id


def get_product_id(product: object) -> str | None:
    """Return the product's id at Topsort, or None where it has none.

    ``TOPSORT_PRODUCT_ID`` says it, else it is the primary key (``pk`` or ``id``). Text, an int or a
    UUID is taken for such an id already. The hook gets whatever a page or an order line holds, such
    as a search result; returning None says that Topsort does not know this product.
    """
    hook = topsort_settings.get_hook("TOPSORT_PRODUCT_ID")
    if hook is None or is_plain_id(product):
        return read_id(product)
    return read_id(hook(product))


def get_vendor_id(product_or_line: object) -> str | None:
    """Return the vendor's id at Topsort as ``TOPSORT_VENDOR_ID`` says it, None where it is not set.

    Topsort needs it where several vendors sell a product, and to attribute a purchase to a vendor's
    other products.
    """
    hook = topsort_settings.get_hook("TOPSORT_VENDOR_ID")
    return None if hook is None else read_id(hook(product_or_line))
