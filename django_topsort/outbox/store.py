"""Writing rows: within the caller's transaction, and without harm to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import IntegrityError, connections, router, transaction

from django_topsort.delivery import log_safely
from django_topsort.outbox.clock import get_host_time
from django_topsort.outbox.models import OutboxEvent, RememberedShopper, Status
from django_topsort.outbox.rows import build_row

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.outbox.models import OutboxQuerySet

MAX_ROWS = 500  # written by one statement
# What is there for an event that has failed is replaced: the order may have been put right.
FAILED = (Status.REJECTED, Status.DEAD)
RENEWED = (
    "payload",
    "status",
    "attempts",
    "occurred_at",
    "created_at",
    "due_at",
    "settled_at",
    "lease_token",
    "last_error",
    "schema_version",
)


def get_outbox_database() -> str:
    """Return the alias of the database that holds the outbox: routers say where."""
    return router.db_for_write(OutboxEvent)


def get_shoppers_database() -> str:
    """Return the alias of the database that holds who has placed orders: routers say where."""
    return router.db_for_write(RememberedShopper)


@contextmanager
def borrowed_connection(using: str) -> Iterator[None]:
    """Leave the connection of this thread as it was: closed, if it was that.

    Nobody else would close it where no request ends: in the threads of an event loop's executor,
    and in those of a server after the response.
    """
    connection = connections[using]
    was_closed = connection.connection is None
    try:
        yield
    finally:
        if was_closed and not connection.in_atomic_block:
            connection.close()


def store_events(events: Sequence[Event], using: str) -> list[Event]:
    """Write a row for each of ``events``; return those that are there already.

    In the transaction around it, if there is one: a savepoint keeps that whole when the database
    refuses. Raises what the database does.
    """
    duplicates: list[Event] = []
    for start in range(0, len(events), MAX_ROWS):
        some = events[start : start + MAX_ROWS]
        rows = [build_row(event, get_host_time()) for event in some]
        try:
            with transaction.atomic(using=using):
                OutboxEvent.objects.using(using).bulk_create(rows)
        except IntegrityError:
            pairs = zip(some, rows, strict=True)
            duplicates += [event for event, row in pairs if not _store_one(row, using)]
    return duplicates


def _store_one(row: OutboxEvent, using: str) -> bool:
    """Write one row; return False where there is one that waits, or has been delivered."""
    known = OutboxEvent.objects.using(using).filter(key=row.key)
    values = {name: getattr(row, name) for name in RENEWED}
    try:
        with transaction.atomic(using=using):
            if known.filter(status__in=FAILED).update(**values):
                return True
            row.pk = None
            row.save(using=using, force_insert=True)
    except IntegrityError:
        _compare(row, known)
        return False  # another process was faster
    return True


def _compare(row: OutboxEvent, known: OutboxQuerySet) -> None:
    """Say where there is another purchase under the id of ``row``: two orders, of one number."""
    for payload in known.filter(kind="purchases").values_list("payload", flat=True):
        items, others = (json.loads(text).get("items") for text in (row.payload, payload))
        if items != others:
            said = (
                "purchase there already with other items order=%s; where two models share numbers,"
                " let the reader's get_key tell them apart"
            )
            log_safely(logging.WARNING, ("other items", row.event_id), said, row.event_id)
