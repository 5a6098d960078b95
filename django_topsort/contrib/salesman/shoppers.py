"""Who is at the checkout: kept in the basket's ``extra``, which Salesman copies to the order.

It is the one place that lasts in every way of paying: an order may be made of the basket, or get
its lines from there, in a bank's request days later.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django_topsort.delivery import log_safely
from django_topsort.exceptions import InvalidEvent
from django_topsort.purchases.buyers import get_request_buyer, is_refusal

if TYPE_CHECKING:
    from django.http import HttpRequest

USER_ID = "topsort_user_id"
DEVICE_TYPE = "topsort_device_type"
CHANNEL = "topsort_channel"
NO_CONSENT = "topsort_no_consent"
OWN_NAMES = frozenset({USER_ID, DEVICE_TYPE, CHANNEL, NO_CONSENT})


def keep_shopper(extra: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``extra`` of a basket with who makes ``context["request"]`` in it.

    What ``extra`` says of that itself is left out: it comes from the client, who may name anybody.
    Nothing is kept of a client that brought no id, or of staff; of a shopper who may not be tracked
    only that. It takes what a ``SALESMAN_EXTRA_VALIDATOR`` takes. The app calls it at Salesman's
    own checkout; call it where a basket becomes an order without that::

        basket.extra = keep_shopper(basket.extra, {"request": request})
        order = Order.objects.create_from_basket(basket, request)

    Never raises.
    """
    kept = leave_out_shopper(extra)
    request = context.get("request")
    if request is None:
        return kept
    try:
        kept.update(_get_facts(request))
    except InvalidEvent as error:
        # Without the traceback, which would show the id that TOPSORT_USER_ID returned.
        said = "shopper not kept field=%s: %s"
        log_safely(logging.ERROR, ("keep_shopper",), said, error.field, error.rule)
    except Exception as error:
        log_safely(logging.ERROR, ("keep_shopper",), "shopper not kept", error=error)
    return kept


def leave_out_shopper(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``extra`` that says nothing of a shopper."""
    return {name: value for name, value in extra.items() if name not in OWN_NAMES}


def _get_facts(request: HttpRequest) -> dict[str, Any]:
    buyer = get_request_buyer(request)
    if buyer is None:
        return {NO_CONSENT: True} if is_refusal(request) else {}
    facts = {
        USER_ID: buyer.opaque_user_id,
        DEVICE_TYPE: buyer.device_type,
        CHANNEL: buyer.channel,
    }
    return {name: value for name, value in facts.items() if value}
