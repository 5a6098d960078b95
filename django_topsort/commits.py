"""Reporting an order when its transaction commits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.transaction import TransactionManagementError

from django_topsort.delivery import announce_safely, log_safely, withdraw_safely
from django_topsort.events import Purchase
from django_topsort.exceptions import InvalidEvent, UnreportableOrder
from django_topsort.facts import get_collector, is_unwanted
from django_topsort.logs import FieldLogger
from django_topsort.purchases.databases import get_order_database
from django_topsort.purchases.finding import describe_order, find_purchase
from django_topsort.reporting import Reporter
from django_topsort.routing import can_take_at_once

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.collector import Collector
    from django_topsort.purchases.announcements import Announcement

    Record = Callable[[Purchase, HttpRequest | None, Collector | None], None]

logger = FieldLogger(logging.getLogger(__name__))

_reporter = Reporter(None)


def report_on_commit(
    order: Any, request: HttpRequest | None, opaque_user_id: str | None, record: Record
) -> None:
    """Give the purchase that ``order`` is to ``record`` when its transaction commits.

    As ``track_purchase`` says. Raises only what has ended the order's own transaction.
    """
    announcement: Announcement | None = None

    def report() -> None:
        try:
            _report_purchase(order, request, opaque_user_id, record)
        except UnreportableOrder as error:
            name, why = describe_order(order), error.detail
            _reporter.left_out("purchases", error.reason, "order=%s: %s", name, why)
        except Exception as error:
            if announcement is not None and not isinstance(error, InvalidEvent):
                # The relay reads it again, when whatever is the matter may have passed.
                said = "purchase not reported yet order=%s"
                log_safely(logging.ERROR, ("report",), said, describe_order(order), error=error)
                return
            logger.error("purchase not reported order=%s", describe_order(order))
            _reporter.refused("purchases", error)
        if announcement is not None:
            withdraw_safely(announcement)

    using = _find_database(order)
    if using is None:
        report()  # there is no transaction to wait for
        return
    # What this raises has ended the shop's transaction, which must not be taken for a success.
    announcement = announce_safely(order, request, opaque_user_id, using)
    try:
        transaction.on_commit(report, using=using, robust=True)
    except TransactionManagementError:
        # Autocommit is off outside of atomic(), where Django cannot tell when the shop commits.
        detail = "order=%s: autocommit is off; use transaction.atomic()"
        _reporter.left_out("purchases", "no_commit", detail, describe_order(order))
    except Exception:
        # No database, or none that answers, or async code: there is no transaction to wait for.
        report()


def _find_database(order: Any) -> str | None:
    """Return whose commit makes ``order`` final; None where no database can be asked."""
    try:
        return get_order_database(order)
    except Exception:
        return None


def _report_purchase(
    order: Any, request: HttpRequest | None, opaque_user_id: str | None, record: Record
) -> None:
    purchase = find_purchase(order, request, opaque_user_id=opaque_user_id)
    if purchase is None:
        return
    collector = None if request is None else get_collector(request)
    if isinstance(order, Purchase) and is_unwanted(purchase, request, collector):
        return
    # Otherwise whether the shopper may be tracked was said at the order, and the request may be a
    # bank's, which cannot say it. The order is committed: a server that breaks off its request must
    # not take the purchase along.
    is_order = not isinstance(order, Purchase)
    record(purchase, request, None if is_order and can_take_at_once("purchases") else collector)
