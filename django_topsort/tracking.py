"""Saying that something happened: each ``track_*`` makes an event of it, and records it.

Wrong data raises while ``TOPSORT_STRICT`` holds (by default, while DEBUG does). Otherwise it is
logged and left out, and the page goes on.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, cast

from django_topsort.arguments import EVENT_FIELDS, PLACEMENT_FIELDS, check_names
from django_topsort.delivery import deliver_safely, log_safely, refuse
from django_topsort.events import Click, Event, Impression, PageView, Purchase
from django_topsort.facts import (
    build_facts,
    build_page,
    check_event,
    get_collector,
    is_ignored,
    is_unwanted,
    read_placement,
)
from django_topsort.interactions import AnyInteraction, build_interaction
from django_topsort.loading import loading
from django_topsort.offloop import is_on_loop, run_off_loop
from django_topsort.reporting import Reporter
from django_topsort.routing import is_transactional
from django_topsort.signals import event_recorded

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.arguments import (
        ClickFields,
        EventFields,
        InteractionFields,
        PlacementFields,
    )
    from django_topsort.collector import Collector

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
        return _track_interaction(Impression, request, product, fields)  # type: ignore[arg-type]  # a cast() in vain takes as long as the lines around it
    except Exception as error:
        refuse("impressions", error, request)
        return None


def track_click(
    request: HttpRequest, product: object = None, **fields: Unpack[ClickFields]
) -> Click | None:
    """Report that the shopper clicked on ``product``; otherwise as ``track_impression``."""
    try:
        return _track_interaction(Click, request, product, fields)  # type: ignore[arg-type]
    except Exception as error:
        refuse("clicks", error, request)
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
    ``value``: the category, product or search text; for a cart a list of products. Otherwise as
    ``track_impression``.
    """
    try:
        collector = get_collector(request)
        if collector.observer is not None:
            given = {"page_type": page_type, "page_id": page_id, "value": value, **fields}
            collector.observer.note_call("pageviews", given, None)
        if is_ignored(request, collector):
            return None
        check_names(fields, EVENT_FIELDS)
        page = build_page(request, collector, page_type, page_id, value)
        facts = build_facts(request, collector, cast("dict[str, Any]", fields))
        event = PageView(page=page, **facts)
        _record(event, request, collector)
    except Exception as error:
        refuse("pageviews", error, request)
        return None
    return event


def track_purchase(
    order: Any, request: HttpRequest | None = None, *, opaque_user_id: str | None = None
) -> None:
    """Report ``order`` as a purchase as soon as its transaction commits; never, if it does not.

    ``order`` is whatever ``TOPSORT_ORDER_READER`` reads, or a Purchase. ``request``: the one in
    which the order was paid, where there is one; its shopper counts only if nothing better is
    known. With the outbox the order is noted down in its own transaction, so that the purchase is
    reported even if this process is killed right after the commit. On an event loop's own thread,
    where no database may be asked, that is done in another one, which is in no transaction. What
    goes wrong is logged with the order's number, and not raised. Only where the database has ended
    the order's own transaction, as MySQL does to end a deadlock, that is raised.
    """
    track = partial(_track_on_commit, order, request, opaque_user_id)
    # In a signal's handler, in the midst of the import that it needs, another thread has to wait.
    if not loading.is_mine and (not is_on_loop() or isinstance(order, Purchase)):
        track()
    elif not run_off_loop(track):
        with loading.lock:
            from django_topsort.purchases.finding import describe_order

        _reporter.left_out("purchases", "overflow", "order=%s", describe_order(order))


def _track_on_commit(order: Any, request: HttpRequest | None, opaque_user_id: str | None) -> None:
    with loading.lock:  # with the first order: pages need none of it
        from django_topsort.commits import report_on_commit

    report_on_commit(order, request, opaque_user_id, _record)


def record(event: Event, request: HttpRequest | None = None) -> None:
    """Record a finished event: with its request's others, or at once where there is no request.

    With a request, nothing is recorded without consent, and of crawlers, prefetches and HEAD
    requests only purchases. A purchase that the outbox takes is recorded when the transaction
    around it commits. Raises InvalidEvent while ``TOPSORT_STRICT`` holds for what is no Impression,
    Click, Purchase or PageView itself, and for what is no request.
    """
    try:
        check_event(event)
        collector = None if request is None else get_collector(request)
        if collector is not None and collector.observer is not None:
            collector.observer.note_call(event.kind, {"event": event}, None)
        if is_unwanted(event, request, collector):
            return
        is_stored = isinstance(event, Purchase) and is_transactional("purchases")
        if not is_stored:
            _record(event, request, collector)
    except Exception as error:
        refuse(getattr(type(event), "kind", "event"), error, request)
        return
    if is_stored:
        track_purchase(event, request)


def set_placement(request: HttpRequest, **fields: Unpack[PlacementFields]) -> None:
    """Set where the impressions and clicks that follow in this request are; replaces what was set.

    A call's own fields go before these. Raises InvalidEvent for an unknown field while
    ``TOPSORT_STRICT`` holds; most values are looked at when an event is made of them.
    """
    try:
        collector = get_collector(request)
        check_names(fields, PLACEMENT_FIELDS)
        # Ids are read at once: a list of them may be an iterator, which can be read once.
        collector.placement = read_placement(collector, cast("dict[str, Any]", fields))
        collector.moulds = {}
    except Exception as error:
        refuse("placement", error, request)


def _track_interaction(
    event_class: type[AnyInteraction], request: HttpRequest, product: object, fields: dict[str, Any]
) -> AnyInteraction | None:
    collector = get_collector(request)
    if collector.observer is not None:
        given = {"product": product, **fields}
        collector.observer.note_call(event_class.kind, given, collector.placement)
    if is_ignored(request, collector):
        return None
    event = build_interaction(event_class, request, collector, product, fields)
    if event is not None:
        _record(event, request, collector)
    return event


def _record(event: Event, request: HttpRequest | None, collector: Collector | None) -> None:
    if event_recorded.receivers:
        try:
            event_recorded.send_robust(sender=type(event), event=event, request=request)
        except Exception as error:
            # An async receiver cannot be waited for on an event loop's own thread.
            key, said = ("event_recorded", event.kind), "event_recorded not announced kind=%s"
            log_safely(logging.ERROR, key, said, event.kind, error=error)
    if collector is None or (event.kind == "purchases" and is_transactional("purchases")):
        deliver_safely([event])
    else:
        collector.add(event)
