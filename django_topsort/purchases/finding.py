"""From an order that was announced to the purchase that it is, with its shopper."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from django_topsort.conf import topsort_settings
from django_topsort.events import Purchase
from django_topsort.exceptions import InvalidEvent, UnreportableOrder
from django_topsort.logs import FieldLogger
from django_topsort.purchases.buyers import find_buyer, get_order_key, has_refused
from django_topsort.purchases.databases import get_fresh_order
from django_topsort.purchases.rules import judge_order
from django_topsort.purchases.values import show_key
from django_topsort.shoppers import MAX_SHOPPER_ID

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.http import HttpRequest

    from django_topsort.purchases.buyers import Buyer
    from django_topsort.purchases.reader import Reading

logger = FieldLogger(logging.getLogger(__name__))

# Stands for a shopper whom nobody knows, while it is found out whether an order is a purchase.
NOBODY = "-"


def find_purchase(
    order: Any,
    request: HttpRequest | None = None,
    *,
    opaque_user_id: str | None = None,
    fallback: Buyer | None = None,
) -> Purchase | None:
    """Return the purchase that ``order`` is by now; None for what is none, or may not be tracked.

    A model instance is read again from its database. ``opaque_user_id`` goes before all that is
    known of the shopper, ``fallback`` behind it: who was there when the order was announced.

    Raises InvalidEvent for what no event can hold, UnreportableOrder for an order that should be a
    purchase and cannot be one (``"no_shopper"``: nobody knows whose it is), and whatever the
    reader raises.
    """
    judged = judge_purchase(order, request, opaque_user_id=opaque_user_id, fallback=fallback)
    return judged if isinstance(judged, Purchase) else None


def judge_purchase(
    order: Any,
    request: HttpRequest | None = None,
    *,
    opaque_user_id: str | None = None,
    fallback: Buyer | None = None,
    read: Callable[[Any], Reading] | None = None,
    placed_at: datetime | None = None,
) -> Purchase | str:
    """Do as ``find_purchase``, but return the reason where there is no purchase.

    The reasons: those of ``judge_order``, ``"deleted"`` and ``"no_consent"``. ``read`` takes the
    place of the configured reader where the order itself is read; ``placed_at`` is when the order
    was placed, where it does not say so itself: now, if nobody says.
    """
    if order is None:
        raise InvalidEvent("order", None, "it must be an order, or a Purchase")
    if opaque_user_id is not None and not 0 < len(opaque_user_id) <= MAX_SHOPPER_ID:
        rule = f"it must have 1 to {MAX_SHOPPER_ID} characters"
        raise InvalidEvent("opaque_user_id", opaque_user_id, rule)
    if isinstance(order, Purchase):
        if opaque_user_id is None:
            return order
        return msgspec.structs.replace(order, opaque_user_id=opaque_user_id)
    fresh = get_fresh_order(order)
    if fresh is None:
        logger.info("order not reported order=%s reason=deleted", describe_order(order))
        return "deleted"
    buyer = find_buyer(fresh, request, opaque_user_id=opaque_user_id) or fallback
    purchase = judge_order(
        fresh,
        opaque_user_id=buyer.opaque_user_id if buyer else NOBODY,
        device_type=buyer.device_type if buyer else None,
        channel=buyer.channel if buyer else None,
        read=read,
        placed_at=placed_at,
    )
    if not isinstance(purchase, Purchase):
        return purchase  # a test, not complete yet, in another currency: it has been logged
    if buyer is None:
        _refuse_nobody(fresh, request)
        return "no_consent"
    if purchase.channel is None:
        channel: Any = topsort_settings.TOPSORT_CHANNEL
        purchase = msgspec.structs.replace(purchase, channel=channel)
    return purchase


def _refuse_nobody(order: Any, request: HttpRequest | None) -> None:
    """Raise UnreportableOrder, unless the shopper is unknown because of having said so."""
    if has_refused(order, request):
        logger.info("order not reported order=%s reason=no_consent", describe_order(order))
        return
    detail = (
        "nobody knows the shopper; send order_placed in a request whose client has the cookie,"
        " or give opaque_user_id"
    )
    raise UnreportableOrder("no_shopper", detail)


def describe_order(order: Any) -> str:
    """Return the number of ``order`` for a line of a log, or what it is. Never raises."""
    try:
        return show_key(get_order_key(order)) or type(order).__name__
    except Exception:
        return type(order).__name__
