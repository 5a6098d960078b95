"""Orders that were announced, and whose process ended before it could report them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from django_topsort.accounts import accounts
from django_topsort.backends.thread import read_number
from django_topsort.delivery import log_safely
from django_topsort.exceptions import InvalidEvent, UnreportableOrder
from django_topsort.outbox.clock import get_host_time
from django_topsort.outbox.models import WAITING, OutboxEvent, Status
from django_topsort.outbox.rows import (
    build_announcement_key,
    build_announcement_row,
    read_announcement,
)
from django_topsort.outbox.store import store_events
from django_topsort.purchases.announcements import find_announced_purchase

if TYPE_CHECKING:
    from django_topsort.purchases.announcements import Announcement
    from django_topsort.reporting import Reporter

PutOff = Callable[[list[OutboxEvent], str, datetime, str], None]


def finish_announcements(
    rows: Iterable[OutboxEvent], token: str, report: Reporter, now: datetime, put_off: PutOff
) -> None:
    """Make a row to be sent of each announcement whose order is a purchase by now.

    What is none is forgotten, as it is when its own process looks at it after the commit. What
    cannot be read is tried again later, and is a dead letter when it is too old.
    """
    for row in rows:
        try:
            _finish(row, token, report)
        except (InvalidEvent, UnreportableOrder) as error:
            detail = getattr(error, "detail", "") or f"{error.field}: {error.rule}"  # type: ignore[union-attr]  # the one or the other
            reason = getattr(error, "reason", "invalid")
            report.left_out("purchases", reason, "order=%s: %s", row.event_id, detail)
            _delete(row, token)
        except Exception as error:
            said = "announced order not read order=%s; it is tried again"
            log_safely(logging.ERROR, ("announced",), said, row.event_id, error=error)
            _put_off(row, token, now, f"{type(error).__name__}: its order cannot be read", put_off)


def _finish(row: OutboxEvent, token: str, report: Reporter) -> None:
    using = str(row._state.db)
    purchase = find_announced_purchase(read_announcement(row))
    if purchase is not None:
        accounts.count_recorded([purchase])
        if store_events([purchase], using):
            report.dropped([purchase], "duplicate")
        else:
            accounts.count_stored([purchase])
    _delete(row, token)


def _delete(row: OutboxEvent, token: str) -> None:
    OutboxEvent.objects.using(row._state.db).leased([row.pk], token).delete()


def _put_off(row: OutboxEvent, token: str, now: datetime, said: str, put_off: PutOff) -> None:
    if now - row.created_at <= timedelta(seconds=read_number("TOPSORT_OUTBOX_MAX_AGE", 1)):
        put_off([row], token, now, said)
        return
    leased = OutboxEvent.objects.using(row._state.db).leased([row.pk], token)
    leased.update(status=Status.DEAD, settled_at=now, last_error=said)


def store_announcement(announcement: Announcement, using: str, patience: timedelta) -> None:
    """Write an announcement in the caller's transaction, as a row of its own.

    It has nothing in common with any other row, and so waits for no other transaction: a deadlock
    would cost the order, of which MySQL then rolls back all. Raises what the database does.
    """
    row = build_announcement_row(announcement, get_host_time(), patience)
    with transaction.atomic(using=using):
        row.save(using=using, force_insert=True)


def delete_announcement(announcement: Announcement, using: str) -> None:
    """Delete an announcement: its order has been looked at."""
    key = build_announcement_key(announcement)
    OutboxEvent.objects.using(using).filter(key=key, status__in=WAITING).delete()
