"""Orders of any shop: say who is placing one, and report it when it is paid."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django_topsort.exceptions import InvalidEvent
from django_topsort.logs import FieldLogger
from django_topsort.purchases.buyers import (
    get_request_buyer,
    is_refusal,
    remember_buyer,
    remember_refusal,
)
from django_topsort.purchases.finding import describe_order
from django_topsort.tracebacks import log_failure
from django_topsort.tracking import track_purchase

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["remember_shopper", "report_order"]

logger = FieldLogger(logging.getLogger(__name__))


def report_order(
    order: Any, request: HttpRequest | None = None, opaque_user_id: str | None = None
) -> None:
    """Report ``order`` as a purchase when its transaction commits, as the order_paid signal does.

    For whatever announces an order in its own way: a webhook, a command, another package's signal.
    ``opaque_user_id``: the shopper's, of 1 to 64 characters; by default whoever is known to have
    ordered. The same order may be reported again; its number is the event's id, so Topsort counts
    it once. Never raises.
    """
    track_purchase(order, request, opaque_user_id=opaque_user_id)


def remember_shopper(request: HttpRequest | None, order_or_key: Any) -> bool:
    """Keep who is placing an order, for when it is paid elsewhere; return whether it is kept.

    ``order_or_key`` is the order or its number. Nothing is kept without a request, of a client that
    brought no id, or of staff; of a shopper who may not be tracked only that. Never raises.
    """
    if request is None:
        logger.warning("shopper not remembered reason=no_request; send order_placed with it")
        return False
    try:
        buyer = get_request_buyer(request, order_or_key)
        if buyer is None:
            if is_refusal(request):
                remember_refusal(order_or_key)
            logger.info("shopper not remembered reason=unknown")
            return False
        return remember_buyer(
            order_or_key,
            buyer.opaque_user_id,
            device_type=buyer.device_type,
            channel=buyer.channel,
        )
    except InvalidEvent as error:
        # Without the traceback, which would show the id that TOPSORT_USER_ID returned.
        logger.error("shopper not remembered field=%s: %s", error.field, error.rule)
        return False
    except Exception:
        log_failure(logger, "shopper not remembered order=%s", describe_order(order_or_key))
        return False
