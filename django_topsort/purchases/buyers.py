"""Whose an order is: kept while the shopper is there, found again when the order is reported.

An order is known by its own number alone: the one that the reader finds on it, which becomes the
purchase's id. So a shopper can be remembered under the number before there is an order
(``remember_buyer("1001", ...)``), and found for the order that bears it afterwards. Two models of
orders in one project must not share numbers, as their purchases must not share ids: a reader's
``get_key`` tells them apart (``f"tickets/{order.pk}"``).
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from django_topsort.conf import topsort_settings
from django_topsort.logs import FieldLogger
from django_topsort.purchases.keeping import read_values, write_values
from django_topsort.purchases.reader import OrderReader, get_reader
from django_topsort.purchases.values import is_plain_id, read_id, show_key
from django_topsort.shoppers import MAX_SHOPPER_ID, get_brought_id, get_shopper, has_consent
from django_topsort.tracebacks import log_failure
from django_topsort.visits import get_device_type

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest

logger = FieldLogger(logging.getLogger(__name__))

# What django-hijack and django-loginas keep in the session while staff act as a customer.
IMPERSONATIONS = ("hijack_history", "loginas_from_user")
MAX_KEY = 255  # characters, as many as the outbox's column has

Source = Literal["argument", "order", "remembered", "request"]


class Buyer(Struct, frozen=True, kw_only=True):
    """Who ordered.

    ``opaque_user_id``: 1 to 64 characters. ``device_type`` and ``channel``: with what and where, as
    far as it is known. ``source``: how the id is known.
    """

    opaque_user_id: str
    device_type: str | None = None
    channel: str | None = None
    source: Source


def find_buyer(
    order: Any, request: HttpRequest | None = None, *, opaque_user_id: str | None = None
) -> Buyer | None:
    """Return who made ``order``, or None where nobody knows: nothing is invented.

    The first of these counts: ``opaque_user_id``; what the reader finds on the order; who was
    remembered for it; the shopper of ``request``, if that is the shopper's own
    (``get_request_buyer``).
    """
    if opaque_user_id is not None:
        own = get_buyer_beside(request, order)
        return Buyer(
            opaque_user_id=opaque_user_id,
            device_type=own.device_type if own else None,
            channel=own.channel if own else None,
            source="argument",
        )
    buyer = _read_buyer(order) or get_remembered_buyer(order)
    if buyer is None and request is not None:
        buyer = get_request_buyer(request, order)
    return buyer


def get_buyer_beside(request: HttpRequest | None, order: Any) -> Buyer | None:
    """Return the shopper of ``request`` where the id is known without it. Never raises.

    What a hook of the project raises must not cost an order whose shopper somebody has named.
    """
    try:
        return None if request is None else get_request_buyer(request, order)
    except Exception:
        log_failure(logger, "no shopper found in the request: type=%s", type(order).__name__)
        return None


def is_acting_for_others(request: HttpRequest) -> bool:
    """Whether the client is staff, or somebody who has taken the place of a customer."""
    user = getattr(request, "user", None)
    if getattr(user, "is_staff", False) or getattr(user, "is_hijacked", False):
        return True
    session: Any = getattr(request, "session", None) or {}
    return any(name in session for name in IMPERSONATIONS)


def get_request_buyer(request: HttpRequest, order: Any = None) -> Buyer | None:
    """Return the shopper who makes ``request``, or None where that need not be who ordered.

    A bank's webhook brings no cookie or header, and an id made in this request would name the bank.
    A member of the staff acts for others, and so does an account other than the order's. ``order``
    may be a number, or None, while there is none. A shopper who may not be tracked is nobody here.
    """
    user = getattr(request, "user", None)
    if is_acting_for_others(request) or not has_consent(request):
        return None
    owner = None if order is None or is_plain_id(order) else _get_duck_reader(order).get_user(order)
    if owner is not None and not _is_same_user(owner, user):
        return None
    shopper = get_shopper(request)
    if shopper.source == "minted":
        return None
    return Buyer(
        opaque_user_id=shopper.opaque_user_id,
        device_type=get_device_type(request),
        channel=topsort_settings.TOPSORT_CHANNEL,
        source="request",
    )


def _is_same_user(owner: Any, user: Any) -> bool:
    if user is None:
        return False
    if is_plain_id(owner):
        return str(owner) == str(getattr(user, "pk", None))
    return bool(owner == user)


def remember_buyer(
    order_or_key: Any,
    opaque_user_id: str,
    *,
    device_type: str | None = None,
    channel: str | None = None,
) -> bool:
    """Keep who is making an order, given as the order or as its number; return whether it is kept.

    Later calls for the same order replace what earlier ones said. With the outbox app the row
    belongs to the caller's transaction, and is gone if that is rolled back. A broken database or
    cache is logged, and breaks no checkout.
    """
    key = get_order_key(order_or_key)
    if not key:
        logger.error(
            "shopper not remembered: type=%s reason=no_number", type(order_or_key).__name__
        )
        return False
    if not 0 < len(opaque_user_id) <= MAX_SHOPPER_ID:
        logger.error(
            "shopper not remembered: order=%s reason=invalid_id length=%s, it must have 1 to %s"
            " characters",
            show_key(key),
            len(opaque_user_id),
            MAX_SHOPPER_ID,
        )
        return False
    values = {
        "opaque_user_id": opaque_user_id,
        "device_type": device_type or "",
        "channel": channel or "",
    }
    return write_values(key, values)


def remember_refusal(order_or_key: Any) -> None:
    """Keep that whoever is making an order may not be tracked, and not who that is."""
    key = get_order_key(order_or_key)
    values = {"opaque_user_id": "", "device_type": "", "channel": ""}
    if key:
        write_values(key, values)


def has_refused(order: Any, request: HttpRequest | None = None) -> bool:
    """Whether the shopper of ``order`` may not be tracked: said at the order, or by ``request``."""
    if request is not None and is_refusal_of_payer(request):
        return True
    values = _read_values(order)
    return values is not None and not values["opaque_user_id"]


def is_refusal(request: HttpRequest) -> bool:
    """Whether the client of ``request`` may not be tracked; a clerk cannot say so for a shopper."""
    return not is_acting_for_others(request) and not has_consent(request)


def is_refusal_of_payer(request: HttpRequest) -> bool:
    """Whether whoever has an order reported by ``request`` may not be tracked.

    A bank cannot say so for a shopper: a client that brings neither a cookie nor our header, and is
    not logged in, says nothing.
    """
    is_logged_in = getattr(getattr(request, "user", None), "is_authenticated", False)
    is_shopper = bool(request.COOKIES or is_logged_in or get_brought_id(request))
    return is_shopper and is_refusal(request)


def _read_values(order_or_key: Any) -> dict[str, Any] | None:
    key = get_order_key(order_or_key)
    return read_values(key) if key else None


def get_remembered_buyer(order_or_key: Any) -> Buyer | None:
    """Return who was remembered for an order, given as the order or as its number."""
    values = _read_values(order_or_key)
    if values is None or not values["opaque_user_id"]:
        return None
    return Buyer(
        opaque_user_id=values["opaque_user_id"],
        device_type=values["device_type"] or None,
        channel=values["channel"] or None,
        source="remembered",
    )


def get_remembered_at(order_or_key: Any) -> datetime | None:
    """Return when the buyer of an order was last remembered; None where only the cache has one."""
    values = _read_values(order_or_key)
    return values.get("created_at") if values else None


def get_order_key(order_or_key: Any) -> str:
    """Return the number by which an order's buyer is known, ``""`` where it has none.

    A number longer than 255 characters is replaced by its SHA-256 digest.
    """
    if is_plain_id(order_or_key):
        key = read_id(order_or_key) or ""
    else:
        key = read_id(_get_duck_reader(order_or_key).get_key(order_or_key)) or ""
    return key if len(key) <= MAX_KEY else hashlib.sha256(key.encode()).hexdigest()


def _get_duck_reader(order: object) -> Any:
    """Return the reader of ``order`` if it can be asked for single facts, else the default one.

    A plain function reads a whole order or nothing, and an order without lines is not readable yet
    when its shopper is to be remembered.
    """
    reader = get_reader(order)
    return reader if isinstance(reader, OrderReader) else OrderReader()


def _read_buyer(order: Any) -> Buyer | None:
    """Return the buyer whom the order itself names."""
    reader = get_reader(order)
    facts: Any = None
    if not isinstance(reader, OrderReader):
        try:
            facts = reader(order)
        except Exception:
            # It may be announced before it can be read; the report will read it again, and say so.
            logger.debug("order not readable yet: type=%s", type(order).__name__, exc_info=True)
    if facts is not None and facts.opaque_user_id:
        found = facts.opaque_user_id, facts.device_type, facts.channel
    else:
        duck = _get_duck_reader(order)
        found = duck.get_opaque_user_id(order), duck.get_device_type(order), duck.get_channel(order)
    if not found[0]:
        return None
    return Buyer(opaque_user_id=found[0], device_type=found[1], channel=found[2], source="order")
