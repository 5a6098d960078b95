"""That an order was announced: written down in its own transaction, in words that outlive it.

An order is announced before it can be read: its lines are saved later, its prices are rounded when
they are stored. So what is kept beside it is not the purchase but where the order is and who was
there. If the process dies between the commit and the report, any other one can make the report.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from django_topsort.events import Purchase
from django_topsort.exceptions import UnreportableOrder
from django_topsort.ids import build_id
from django_topsort.purchases.buyers import (
    Buyer,
    get_buyer_beside,
    get_request_buyer,
    is_refusal_of_payer,
)
from django_topsort.purchases.finding import describe_order, find_purchase
from django_topsort.wire import decode_event, encode_event

if TYPE_CHECKING:
    from django.http import HttpRequest

MAX_NAME = 200  # characters of an order's number that are shown


class Announcement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order that is to be reported once it is committed.

    ``token``: of this one announcement. An order may be announced by several transactions at once,
    none of which may wait for another, or take back what another has written.
    ``model``, ``pk`` (as JSON) and ``using``: which order, in which database; empty where it is in
    none, and
    ``purchase`` then is its event as JSON. ``opaque_user_id``: what the caller gave. ``shopper``,
    ``device_type`` and ``channel``: who made the request. ``is_refusal``: whether that was somebody
    who may not be tracked. ``name``: the order's number, for people.
    """

    name: str
    using: str
    token: str = msgspec.field(default_factory=build_id)
    model: str = ""
    pk: str = ""
    purchase: str = ""
    opaque_user_id: str | None = None
    shopper: str | None = None
    device_type: str | None = None
    channel: str | None = None
    is_refusal: bool = False


def build_announcement(
    order: Any, request: HttpRequest | None, opaque_user_id: str | None, using: str
) -> Announcement | None:
    """Return what is to be kept of ``order``; None where nothing can be, as of one never saved.

    What is no model instance cannot be read again, and is read now. Raises what its reader raises,
    and what ``find_purchase`` does.
    """
    if isinstance(order, models.Model):
        if order.pk is None:
            return None
        if opaque_user_id is not None:
            buyer = get_buyer_beside(request, order)
        else:
            buyer = None if request is None else get_request_buyer(request, order)
        return Announcement(
            name=describe_order(order)[:MAX_NAME],
            using=using,
            model=order._meta.label_lower,
            pk=json.dumps(order.pk, cls=DjangoJSONEncoder),
            opaque_user_id=opaque_user_id,
            shopper=buyer.opaque_user_id if buyer else None,
            device_type=buyer.device_type if buyer else None,
            channel=buyer.channel if buyer else None,
            is_refusal=request is not None and is_refusal_of_payer(request),
        )
    purchase = find_purchase(order, request, opaque_user_id=opaque_user_id)
    if purchase is None:
        return None
    return Announcement(
        name=purchase.id[:MAX_NAME], using=using, purchase=encode_event(purchase).decode()
    )


def find_announced_purchase(announcement: Announcement) -> Purchase | None:
    """Return the purchase that was announced, as ``find_purchase`` does; None where there is none.

    Raises what that raises, and LookupError for a model that this project does not have.
    """
    if announcement.purchase:
        purchase = decode_event("purchases", announcement.purchase)
        return purchase if isinstance(purchase, Purchase) else None
    model = apps.get_model(announcement.model)
    rows = model._base_manager.using(announcement.using)
    key = json.loads(announcement.pk)
    order = rows.filter(pk=tuple(key) if isinstance(key, list) else key).first()
    if order is None:
        return None
    fallback = None
    if announcement.shopper is not None:
        fallback = Buyer(
            opaque_user_id=announcement.shopper,
            device_type=announcement.device_type,
            channel=announcement.channel,
            source="request",
        )
    try:
        return find_purchase(order, opaque_user_id=announcement.opaque_user_id, fallback=fallback)
    except UnreportableOrder as error:
        if error.reason == "no_shopper" and announcement.is_refusal:
            return None
        raise
