"""Where an order is stored: whose commit makes it final, and where it is read from afterwards."""

from __future__ import annotations

from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models, router

from django_topsort.exceptions import UnreportableOrder

AnyOrder = TypeVar("AnyOrder")


def get_order_database(order: object) -> str:
    """Return the alias of the database whose commit makes ``order`` final.

    Of a model instance it is the one that the project's routers write it to, which need not be the
    one that it was read from: that may be a replica, where nothing is ever committed. Only if the
    former is in no transaction and the latter is, it is the latter. Of anything else nobody knows
    where it is stored: it is the default database, or else any other that is in a transaction.
    """
    aliases: list[str]
    if isinstance(order, models.Model):
        aliases = [_get_written(order), order._state.db or DEFAULT_DB_ALIAS]
    else:
        opened = connections.all(initialized_only=True)
        aliases = [DEFAULT_DB_ALIAS, *(connection.alias for connection in opened)]
    in_transaction = (alias for alias in aliases if connections[alias].in_atomic_block)
    return next(in_transaction, aliases[0])


def get_fresh_order(order: AnyOrder) -> AnyOrder | None:
    """Return a model instance as its own database has it now, or None where it is gone.

    An order is announced before its lines are saved, or with numbers in memory that are rounded
    only when they are stored. It is read where it is written, as a replica may not have it yet.
    What is no model instance is returned as it is.

    Raises UnreportableOrder for an instance that was never saved.
    """
    if not isinstance(order, models.Model):
        return order
    aliases = [_get_written(order)]
    source = order._state.db
    if source is not None and source not in aliases:
        aliases.append(source)  # it may have been saved with using(), past the routers
    for alias in aliases:
        # The base manager, because a default manager may hide orders of some states.
        fresh = order.__class__._base_manager.using(alias).filter(pk=order.pk).first()
        if fresh is not None:
            return fresh
    if order._state.adding:
        detail = "it was never saved; save it before it is reported"
        raise UnreportableOrder("not_saved", detail)
    return None


def _get_written(order: models.Model) -> str:
    # Without a router that says otherwise it is the database that the order came from.
    # Not type(order), which of a lazy object is no model.
    return router.db_for_write(order.__class__, instance=order)
