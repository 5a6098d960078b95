"""Receivers of Oscar's own signals. None of them raises into a page or a checkout."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_save

from django_topsort.contrib.oscar.pages import report_product_page, report_search_page
from django_topsort.delivery import log_safely
from django_topsort.orders import remember_shopper, report_order
from django_topsort.purchases.buyers import get_remembered_buyer
from django_topsort.purchases.reader import get_reader

if TYPE_CHECKING:
    from django.http import HttpRequest


def quietly(receiver: Callable[..., None]) -> Callable[..., None]:
    """Return ``receiver`` so that what it raises is logged: most signals are sent with send()."""

    @functools.wraps(receiver)
    def receive(*args: Any, **kwargs: Any) -> None:
        try:
            receiver(*args, **kwargs)
        except Exception as error:
            key = ("contrib.oscar", receiver.__name__)
            log_safely(
                logging.ERROR, key, "signal not followed: %s", receiver.__name__, error=error
            )

    return receive


@quietly
def handle_pre_payment(sender: object, view: Any, **kwargs: Any) -> None:
    """Remember who is at the checkout, before a bank takes over: the number is known by now."""
    number = view.checkout_session.get_order_number()
    if number:
        # There is no order yet. A reader may make more of its number than the number itself, and
        # is asked for what it will make of it then.
        from oscar.core.loading import get_model

        remember_shopper(view.request, get_model("order", "Order")(number=str(number)))


def handle_order_saved(sender: object, instance: Any, created: bool, **kwargs: Any) -> None:
    """Report a new order when its own transaction commits.

    ``order_placed`` comes after that: a process that is killed in between would lose the order.
    """
    connection = connections[instance._state.db or DEFAULT_DB_ALIAS]
    if created and not kwargs.get("raw") and connection.in_atomic_block:
        instance._topsort_is_noted = True
        handle_order(instance)


def handle_order_placed(sender: object, order: Any, **kwargs: Any) -> None:
    """Report the order when it is committed, unless its status says that it is not bought yet."""
    if not getattr(order, "_topsort_is_noted", False):
        handle_order(order)


def handle_order(order: Any) -> None:
    """Report the order, with the shopper of the request that it is placed in, if that is known."""
    request = find_request(order)
    keep_shopper(order, request)
    report_order(order, request)


def handle_api_checkout(sender: object, order: Any, request: Any = None, **kwargs: Any) -> None:
    """Report an order of django-oscar-api again, where only now it is known who made it.

    ``order_placed`` came before, with a request only if the basket's strategy has kept it.
    """
    if find_request(order) is None:
        keep_shopper(order, request)
        report_order(order, request)


def handle_status(sender: object, order: Any, new_status: str = "", **kwargs: Any) -> None:
    """Report an order that has come to one of the statuses in which it counts as bought."""
    if is_reported_status(order, new_status):
        report_order(order)


def is_reported_status(order: Any, status: str) -> bool:
    """Whether the order's reader waits for ``status``. Never raises."""
    try:
        return status in getattr(get_reader(order), "reported_statuses", ())
    except Exception as error:
        key = ("contrib.oscar", "status")
        log_safely(logging.ERROR, key, "no reader for order=%s", order.number, error=error)
        return False


@quietly
def keep_shopper(order: Any, request: HttpRequest | None) -> None:
    """Remember whose request it is, unless somebody was remembered at the checkout already."""
    if request is not None and get_remembered_buyer(order) is None:
        remember_shopper(request, order)


def find_request(order: Any) -> Any:
    """Return the request in which ``order`` is being placed, or None where nobody knows it.

    ``order_placed`` brings none. The order has the basket of which it was made, this the strategy
    that gives its prices, and this the request, where the shop's own strategy does not drop it. It
    need not be the shopper's, and is looked at like that of any other announcement. Never raises.
    """
    try:
        # Not order.basket, which would be a query for an order that was read from the database.
        basket = order._state.fields_cache.get("basket")
        return getattr(getattr(basket, "_strategy", None), "request", None)
    except Exception as error:
        key = ("contrib.oscar", "request")
        log_safely(logging.ERROR, key, "no request for order=%s", order.number, error=error)
        return None


@quietly
def handle_product_viewed(sender: object, product: Any, request: Any, **kwargs: Any) -> None:
    """Report the page of a product."""
    report_product_page(request, product)


@quietly
def handle_user_search(sender: Any, query: str = "", **kwargs: Any) -> None:
    """Report the page of a search."""
    report_search_page(sender.request, query)


def connect() -> None:
    """Connect the receivers; once, however often it is called."""
    from oscar.apps.catalogue.signals import product_viewed
    from oscar.apps.checkout.signals import pre_payment
    from oscar.apps.order.signals import order_placed, order_status_changed
    from oscar.apps.search.signals import user_search
    from oscar.core.loading import get_model

    pairs = [
        (pre_payment, handle_pre_payment),
        (order_placed, handle_order_placed),
        (order_status_changed, handle_status),
        (product_viewed, handle_product_viewed),
        (user_search, handle_user_search),
    ]
    if apps.is_installed("oscarapi"):
        from oscarapi.signals import oscarapi_post_checkout

        pairs.append((oscarapi_post_checkout, handle_api_checkout))
    for signal, receiver in pairs:
        # Without a sender: Oscar sends instances, so that no class would ever match.
        uid = f"django_topsort.contrib.oscar.{receiver.__name__}"
        signal.connect(receiver, weak=False, dispatch_uid=uid)
    uid = "django_topsort.contrib.oscar.handle_order_saved"
    post_save.connect(
        handle_order_saved, sender=get_model("order", "Order"), weak=False, dispatch_uid=uid
    )
