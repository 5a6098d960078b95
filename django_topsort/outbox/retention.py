"""Deleting rows that have served: in small parts, so that no table is locked for long."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from django_topsort.backends.thread import read_number
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import OutboxEvent, Status

if TYPE_CHECKING:
    from django_topsort.outbox.models import OutboxQuerySet

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
        done += _delete(some, most - done)
    return done


def _delete(rows: OutboxQuerySet, most: int) -> int:
    done = 0
    while done < most:
        keys = list(rows.values_list("pk", flat=True)[: min(CHUNK, most - done)])
        if not keys:
            break
        # By their keys alone: MySQL does not delete from what it selects from.
        done += OutboxEvent.objects.using(rows.db).filter(pk__in=keys).delete()[0]
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
