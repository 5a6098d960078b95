"""When an order of Salesman's is reported.

Its own signal, ``status_changed``, says nothing of an order that is made with its final status, as
by payment on delivery, and nothing of payments; and it is sent at every later save of an instance
whose status has changed once. So the orders and payments themselves are watched as they are saved.
Each is only noted then, and read when its transaction has been committed.
"""

from __future__ import annotations

import logging
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models.signals import post_save

from django_topsort.delivery import log_safely
from django_topsort.orders import report_order
from django_topsort.purchases.databases import get_order_database
from django_topsort.purchases.finding import describe_order
from django_topsort.purchases.reader import get_reader
from django_topsort.purchases.values import show_key
from django_topsort.routing import is_transactional

NEW = "_topsort_is_new"  # an attribute of an order: this very instance was saved as a new one
LOOKED_AT = 100  # of what waits for a commit


class Noted:
    """Stands among what waits for a commit, so that an order is noted once in a transaction.

    It goes with a savepoint that is rolled back, as the report itself does.
    """

    def __init__(self, order: Any) -> None:
        self.order = (order._meta.label_lower, order.pk)
        self.is_waiting = True

    def __call__(self) -> None:
        self.is_waiting = False


def handle_order_saved(
    sender: object, instance: Any, created: bool = False, raw: bool = False, **kwargs: Any
) -> None:
    """Report an order that has come into a status in which it counts as bought."""
    if raw:
        return
    if created:
        setattr(instance, NEW, True)
    if is_bought_now(instance):
        note(instance)


def handle_payment_saved(sender: object, instance: Any, raw: bool = False, **kwargs: Any) -> None:
    """Report an order that awaits its payment, if it has all of it by the commit."""
    if not raw and is_awaited(instance):
        note(instance.order)


def is_bought_now(order: Any) -> bool:
    """Whether this save brings an order into a reported status; never raises.

    An order that was in one when it was loaded has been reported, or precedes this package: to send
    it again for each change to an old order would have no end.
    """
    try:
        statuses = get_statuses(order)
        loaded = None if getattr(order, NEW, False) else getattr(order, "_current_status", None)
        if statuses is None:
            return bool(order.status != loaded)  # the project's own reader says at the commit
        return order.status in statuses and loaded not in statuses
    except Exception as error:
        say_unseen(order, error)
        return True  # the report says at the commit what is the matter


def is_awaited(payment: Any) -> bool:
    """Whether a payment may be what its order still lacked; never raises."""
    try:
        # In a reported status it is reported as it comes into it, whatever has been paid.
        return payment.order.status not in (get_statuses(payment.order) or ())
    except Exception as error:
        say_unseen(payment, error)
        return False


def get_statuses(order: Any) -> Any:
    """Return the statuses in which the order's reader counts it as bought; None if it says none."""
    return getattr(get_reader(order), "reported_statuses", None)


def note(order: Any) -> None:
    """Report ``order`` when its transaction commits, unless it is noted or reported already."""
    if is_noted(order):
        return
    report_order(order)
    try:
        transaction.on_commit(Noted(order), using=get_order_database(order), robust=True)
    except Exception as error:
        say_unseen(order, error)


def is_noted(order: Any) -> bool:
    """Whether ``order`` waits for this transaction's commit, or is in the outbox; never raises."""
    try:
        using = get_order_database(order)
        own = Noted(order).order
        # The last ones only: an import of thousands in one transaction would look through them all
        # for each, and what is reported twice is sent once.
        for _, callback, *_ in connections[using].run_on_commit[-LOOKED_AT:]:
            waiting = getattr(callback, "__wrapped__", callback)  # tests wrap what waits
            if isinstance(waiting, Noted) and waiting.is_waiting and waiting.order == own:
                return True
        return is_stored(order)
    except Exception as error:
        say_unseen(order, error)
        return False


def is_stored(order: Any) -> bool:
    """Whether the outbox holds the purchase, and it has not failed. Raises what the database does.

    Such as that of a payment after which the shop sets the status. It would not be sent again, but
    be counted as dropped.
    """
    if not is_transactional("purchases"):
        return False
    from django_topsort.outbox.models import OutboxEvent
    from django_topsort.outbox.rows import build_key
    from django_topsort.outbox.store import FAILED, get_outbox_database

    number = getattr(get_reader(order), "get_key", lambda order: order.ref)(order)
    using = get_outbox_database()
    # A savepoint: without it a missing table would spoil the shop's transaction.
    with transaction.atomic(using=using):
        rows = OutboxEvent.objects.using(using).filter(key=build_key("purchases", number))
        return rows.exclude(status__in=FAILED).exists()


def say_unseen(instance: Any, error: Exception) -> None:
    """Log that an order, or its payment, could not be looked at. Never raises."""
    # Its own number first: the reader, which knows where others have theirs, may be what is broken.
    ref = getattr(instance, "ref", None)
    order = show_key(ref) if isinstance(ref, str) else describe_order(instance)
    said = "order not looked at order=%s"
    log_safely(logging.ERROR, ("salesman", order), said, order, error=error)


def connect() -> None:
    """Connect the receivers to the shop's models, and to proxies of them; once."""
    from salesman.core.utils import get_salesman_model

    for name, receiver in (("Order", handle_order_saved), ("OrderPayment", handle_payment_saved)):
        base = get_salesman_model(name)
        for model in apps.get_models():
            if issubclass(model, base):
                uid = f"django_topsort.contrib.salesman.{model._meta.label_lower}"
                post_save.connect(receiver, sender=model, dispatch_uid=uid)
