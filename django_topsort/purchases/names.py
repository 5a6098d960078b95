"""The names that shops give to the parts of an order, as far as living ones are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class OrderNames:
    """What OrderReader looks for: each tuple holds names that are tried in order.

    A dotted name is followed, a method that takes no arguments is called, a manager is read.
    """

    # The first name that the order has at all counts, also when it is empty: a number that is
    # filled in later must not become a second purchase beside one that was named by its primary
    # key.
    key_names: Sequence[str] = (
        "number",
        "order_number",
        "reference",
        "ref",
        "reference_number",
        "code",
        "get_number",
        "token",
        "pk",
        "order_id",
        "id",
        "uuid",
    )
    placed_at_names: Sequence[str] = (
        "date_placed",
        "placed_at",
        "order_date",
        "ordered_at",
        "date_created",
        "created_at",
        "created",
        "created_on",
        "created_date",
        "datetime",
        "time",
        "date",
    )
    lines_names: Sequence[str] = (
        "lines",
        "order_lines",
        "items",
        "order_items",
        "positions",
        "line_items",
        "get_items",
        "get_purchased_items",
        "line_set",
        "item_set",
        "orderline_set",
        "orderitem_set",
    )
    product_names: Sequence[str] = ("product", "item", "variant", "product_variant")
    product_id_names: Sequence[str] = ("product_id", "item_id", "variant_id", "product_variant_id")
    sku_names: Sequence[str] = (
        "product_sku",
        "sku",
        "product_code",
        "code",
        "partner_sku",
        "upc",
    )
    quantity_names: Sequence[str] = ("quantity", "product_amount", "qty", "get_quantity")
    # With tax, and after discounts: what the shopper pays. A shop that reports without tax puts its
    # other names here.
    line_total_names: Sequence[str] = (
        "line_price_incl_tax",
        "taxful_price",
        "total_price_gross",
        "line_total",
        "total_price",
        "total",
        "get_total",
    )
    unit_price_names: Sequence[str] = (
        "unit_price_incl_tax",
        "unit_price_gross",
        "unit_price",
        "product_price_gross",
        "price",
        "get_price_per_item",
    )
    vendor_names: Sequence[str] = (
        "vendor_id",
        "partner_id",
        "supplier_id",
        "seller_id",
        "merchant_id",
        "vendor",
    )
    currency_names: Sequence[str] = ("currency", "currency_code", "event.currency")
    line_currency_names: Sequence[str] = ("currency", "currency_code")
    shopper_names: Sequence[str] = (
        "topsort_user_id",
        "extra.topsort_user_id",
        "metadata.topsort_user_id",
    )
    device_type_names: Sequence[str] = ("topsort_device_type", "extra.topsort_device_type")
    channel_names: Sequence[str] = ("topsort_channel", "extra.topsort_channel")
    user_names: Sequence[str] = ("user", "customer.user", "user_id")
