"""Saying that something happened: each ``track_*`` makes an event of it, and records it.

Wrong data raises while ``TOPSORT_STRICT`` holds (by default, while DEBUG does). Otherwise it is logged
and left out, and the page goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from django.db import DEFAULT_DB_ALIAS, transaction

from django_topsort.conf import topsort_settings
from django_topsort.delivery import deliver_safely
from django_topsort.events import Click, Event, Impression, Page, PageView, Purchase
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import (
    PLACEMENT_FIELDS,
    build_entity,
    build_facts,
    build_placement,
    get_collector,
    get_request_path,
    is_ignored,
    read_ids,
)
from django_topsort.purchases.buyers import find_buyer, get_order_key
from django_topsort.purchases.rules import build_purchase, get_fresh_order
from django_topsort.purchases.values import read_id
from django_topsort.reporting import Reporter
from django_topsort.signals import event_recorded

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.facts import ClickFields, EventFields, InteractionFields, PlacementFields

logger = logging.getLogger(__name__)

AnyInteraction = TypeVar("AnyInteraction", Impression, Click)

_reporter = Reporter(None)


def track_impression(
    request: HttpRequest, product: object = None, **fields: Unpack[InteractionFields]
) -> Impression | None:
    """Report that the shopper was shown ``product``; return the event, or None where there is none.

    ``product`` is a model instance or an id. With ``resolved_bid_id`` the impression is sponsored;
    without it, or with an empty one, it is organic and ``product`` becomes its entity. Nothing is
    reported of crawlers, prefetches and HEAD requests, nor without consent.

    Raises InvalidEvent for wrong data while ``TOPSORT_STRICT`` holds.
    """
    try:
        return _track_interaction(Impression, request, product, {**fields})
    except Exception as error:
        refuse("impressions", error)
        return None


def track_click(
    request: HttpRequest, product: object = None, **fields: Unpack[ClickFields]
) -> Click | None:
    """Report that the shopper clicked on ``product``; otherwise as ``track_impression``."""
    try:
        return _track_interaction(Click, request, product, {**fields})
    except Exception as error:
        refuse("clicks", error)
        return None


def track_pageview(
    request: HttpRequest,
    page_type: str = "other",
    page_id: object = None,
    value: object = None,
    **fields: Unpack[EventFields],
) -> PageView | None:
    """Report that the shopper opened a page; return the event, or None where there is none.

    ``page_type``: home, category, PDP, search, cart or other. ``page_id``: by default the path.
    ``value``: the category, product or search text; for a cart a list of product ids. Otherwise as
    ``track_impression``.
    """
    try:
        collector = get_collector(request)
        if is_ignored(request, collector):
            return None
        page = Page(
            type=page_type,  # type: ignore[arg-type]  # Page itself refuses what is no page type
            page_id=read_id(page_id) or get_request_path(request, collector),
            value=read_ids(value),
        )
        event = PageView(page=page, **build_facts(request, collector, {**fields}))
        record(event, request)
    except Exception as error:
        refuse("pageviews", error)
        return None
    return event


def track_purchase(
    order: Any, request: HttpRequest | None = None, *, opaque_user_id: str | None = None
) -> None:
    """Report ``order`` as a purchase as soon as its transaction commits; never, if it does not.

    ``order`` is whatever ``TOPSORT_ORDER_READER`` reads, or a Purchase. ``request``: the one in which
    the order was paid, where there is one; its shopper counts only if nothing better is known. Never
    raises: what goes wrong is logged with the order's number.
    """

    def report() -> None:
        try:
            _report_purchase(order, request, opaque_user_id)
        except Exception as error:
            logger.exception("purchase not reported order=%s", _describe_order(order))
            _reporter.refused("purchases", error)

    # The order may live in another database than the default one, which commits on its own.
    using = getattr(getattr(order, "_state", None), "db", None) or DEFAULT_DB_ALIAS
    try:
        transaction.on_commit(report, using=using, robust=True)
    except Exception:
        # Autocommit is off outside of atomic(), where Django cannot tell when the shop commits.
        logger.exception("purchase not reported order=%s", _describe_order(order))
        _reporter.left_out("purchases", "no_commit", f"order={_describe_order(order)}")


def record(event: Event, request: HttpRequest | None = None) -> None:
    """Record a finished event: with its request's others, or at once where there is no request."""
    if event_recorded.receivers:
        event_recorded.send_robust(sender=type(event), event=event, request=request)
    if request is None:
        deliver_safely([event])
    else:
        get_collector(request).add(event)


def set_placement(request: HttpRequest, **fields: Unpack[PlacementFields]) -> None:
    """Set where the impressions and clicks that follow in this request are; replaces what was set.

    A call's own fields go before these. Raises InvalidEvent for an unknown field while
    ``TOPSORT_STRICT`` holds; the values are looked at when an event is made of them.
    """
    try:
        unknown = sorted(set(fields) - PLACEMENT_FIELDS)
        if unknown:
            rule = f"its fields are {', '.join(sorted(PLACEMENT_FIELDS))}"
            raise InvalidEvent("placement", unknown, rule)
        get_collector(request).placement = {**fields}
    except Exception as error:
        refuse("impressions", error)


def build_click(request: HttpRequest, product: object, fields: dict[str, Any]) -> Click | None:
    """Return the click that ``track_click`` would record, or None for an unknown product.

    Raises InvalidEvent for wrong data.
    """
    return _build_interaction(Click, request, product, fields)


def refuse(kind: str, error: Exception) -> None:
    """Raise ``error`` while ``TOPSORT_STRICT`` holds; else log and count it."""
    if topsort_settings.is_strict:
        raise error
    if not isinstance(error, InvalidEvent):
        logger.error("left out kind=%s", kind, exc_info=error)
    _reporter.refused(kind, error)


def _track_interaction(
    event_class: type[AnyInteraction], request: HttpRequest, product: object, fields: dict[str, Any]
) -> AnyInteraction | None:
    if is_ignored(request, get_collector(request)):
        return None
    event = _build_interaction(event_class, request, product, fields)
    if event is not None:
        record(event, request)
    return event


def _build_interaction(
    event_class: type[AnyInteraction], request: HttpRequest, product: object, fields: dict[str, Any]
) -> AnyInteraction | None:
    collector = get_collector(request)
    fields["resolved_bid_id"] = fields.get("resolved_bid_id") or None
    entity_type = fields.pop("entity_type", "product")
    if product is not None and fields["resolved_bid_id"] is None and "entity" not in fields:
        # Beside a bid Topsort disregards the entity, so it is left out.
        fields["entity"] = build_entity(product, entity_type)
        if fields["entity"] is None:
            return None
    if "placement" not in fields:
        fields["placement"] = build_placement(request, collector, fields)
    if "event_page" in fields:
        fields["page"] = fields.pop("event_page")
    try:
        return event_class(**build_facts(request, collector, fields))
    except TypeError as error:
        raise InvalidEvent("arguments", sorted(fields), f"{error}") from None


def _report_purchase(order: Any, request: HttpRequest | None, opaque_user_id: str | None) -> None:
    if isinstance(order, Purchase):
        record(order, request)
        return
    fresh = get_fresh_order(order)
    if fresh is None:
        return  # deleted since: rolled back in another way
    buyer = find_buyer(fresh, request, opaque_user_id=opaque_user_id)
    purchase = build_purchase(
        fresh,
        opaque_user_id=buyer.opaque_user_id if buyer else None,
        device_type=buyer.device_type if buyer else None,
        channel=(buyer.channel if buyer else None) or topsort_settings.TOPSORT_CHANNEL,
    )
    if purchase is not None:
        record(purchase, request)
    elif buyer is None:
        detail = f"order={_describe_order(order)}: nobody knows the shopper; send order_placed"
        _reporter.left_out("purchases", "no_shopper", detail)


def _describe_order(order: Any) -> str:
    try:
        return get_order_key(order)[:64]
    except Exception:
        return type(order).__name__
