"""The ids of products and vendors at Topsort, the same in auctions and in every kind of event."""

from __future__ import annotations

from collections.abc import Callable

from django_topsort.conf import topsort_settings
from django_topsort.purchases.registry import find_registered_product_id, has_product_ids
from django_topsort.purchases.values import is_plain_id, read_id


def get_product_id(product: object) -> str | None:
    """Return the product's id at Topsort, or None where it has none.

    ``TOPSORT_PRODUCT_ID`` says it, else what was registered for its model (``registry``), else it
    is the primary key (``pk`` or ``id``). Text, an int or a UUID is taken for such an id already.
    The hook gets whatever a page or an order line holds, such
    as a search result; returning None says that Topsort does not know this product.
    """
    return get_product_reader()(product)


def get_product_reader() -> Callable[[object], str | None]:
    """Return what ``get_product_id`` does, for many products at one look at the settings.

    It is ``read_id`` itself where ``TOPSORT_PRODUCT_ID`` is not set, and nothing is registered.
    """
    hook = topsort_settings.get_hook("TOPSORT_PRODUCT_ID")
    if hook is None:
        return read_registered_id if has_product_ids() else read_id

    def read_product_id(product: object) -> str | None:
        return read_id(product if is_plain_id(product) else hook(product))

    return read_product_id


def read_registered_id(product: object) -> str | None:
    """Return the id that the function of the product's model says, else the primary key."""
    get_id = None if is_plain_id(product) else find_registered_product_id(product)
    return read_id(product if get_id is None else get_id(product))


def get_vendor_id(product_or_line: object) -> str | None:
    """Return the vendor's id at Topsort as ``TOPSORT_VENDOR_ID`` says it, None where it is not set.

    Topsort needs it where several vendors sell a product, and to attribute a purchase to a vendor's
    other products.
    """
    hook = topsort_settings.get_hook("TOPSORT_VENDOR_ID")
    return None if hook is None else read_id(hook(product_or_line))
