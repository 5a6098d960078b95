"""Deleting rows that have served: in small parts, so that no table is locked for long."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django_topsort.backends.thread import read_number
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import OutboxEvent, RememberedShopper, Status
from django_topsort.outbox.store import borrowed_connection, get_shoppers_database

CHUNK = 1000  # rows deleted by one statement
MAX_CHUNKS = 20  # in one go; the rest waits for the next
INTERVAL = 600.0  # seconds between two looks of one process


def delete_old_rows(using: str, most: int = MAX_CHUNKS * CHUNK) -> int:
    """Delete delivered rows and failed ones that are too old, at most ``most``; return how many.

    Purchases that were refused or given up stay: somebody must look at them.
    """
    now = get_database_time(using)
    rows = OutboxEvent.objects.using(using)
    delivered = now - timedelta(seconds=read_number("TOPSORT_OUTBOX_KEEP_DELIVERED", 0))
    failed = now - timedelta(seconds=read_number("TOPSORT_OUTBOX_KEEP_FAILED", 0))
    done = 0
    for some in (
        rows.filter(status=Status.DELIVERED, settled_at__lte=delivered),
        rows.filter(status__in=(Status.REJECTED, Status.DEAD), settled_at__lte=failed).exclude(
            kind="purchases"
        ),
    ):
        done += delete_rows(some, most - done)
    return done


def delete_old_shoppers(most: int = MAX_CHUNKS * CHUNK) -> int:
    """Delete who has placed orders too long ago, at most ``most`` rows; return how many."""
    using = get_shoppers_database()
    with borrowed_connection(using):
        return delete_rows(find_old_shoppers(using), most)


def find_old_shoppers(using: str, seconds: float | None = None) -> Any:
    """Return the shoppers remembered for longer than ``seconds``, by default the setting's."""
    if seconds is None:
        seconds = read_number("TOPSORT_OUTBOX_KEEP_SHOPPERS", 0)
    oldest = get_database_time(using) - timedelta(seconds=seconds)
    return RememberedShopper.objects.using(using).filter(created_at__lte=oldest)


def delete_rows(rows: Any, most: float = math.inf) -> int:
    """Delete at most ``most`` of ``rows``, a queryset, in small parts; return how many."""
    done = 0
    while done < most:
        keys = list(rows.values_list("pk", flat=True)[: int(min(CHUNK, most - done))])
        if not keys:
            break
        # By their keys alone: MySQL does not delete from what it selects from.
        some = rows.model._default_manager.using(rows.db).filter(pk__in=keys)
        done += some.delete()[0]
    return done


class Retention:
    """Deletes old rows now and then."""

    def __init__(self, using: str, clock: Callable[[], float], rand: Callable[[], float]) -> None:
        self._using = using
        self._clock = clock
        self._rand = rand
        self._last = -math.inf

    def run(self) -> None:
        """Delete old rows, unless that was done within the last ten minutes or so."""
        now = self._clock()
        if now - self._last >= INTERVAL * (0.5 + self._rand()):
            self._last = now
            delete_old_rows(self._using)
            delete_old_shoppers()
