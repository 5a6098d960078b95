"""What a person may do to rows: never to those that a relay has its hands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connections, transaction

from django_topsort.accounts import accounts
from django_topsort.exceptions import InvalidEvent
from django_topsort.outbox.admin.reasons import GIVEN_UP
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import MAX_ERROR, OutboxEvent, Status
from django_topsort.outbox.rows import read_event, show
from django_topsort.reporting import Reporter

if TYPE_CHECKING:
    from datetime import datetime

    from django_topsort.outbox.models import OutboxQuerySet

MOST_CHANGED = 10_000  # rows by one action; the rest waits for the next
CHUNK = 500  # rows by one statement


class Done(NamedTuple):
    """What became of the chosen rows. ``is_cut``: there were more than one action changes."""

    changed: int
    leased: int
    is_cut: bool


Narrow = Callable[["OutboxQuerySet", "datetime"], "OutboxQuerySet"]
Change = Callable[["OutboxQuerySet", "datetime"], object]


def apply(
    chosen: OutboxQuerySet,
    narrow: Narrow,
    change: Change,
    note: Callable[[list[OutboxEvent]], None],
) -> Done:
    """Do ``change`` to those of ``chosen`` that ``narrow`` leaves; ``note`` is told which.

    Raises what the database does; what was changed until then stays changed, and was noted.
    """
    keys = list(chosen.order_by().values_list("pk", flat=True)[: MOST_CHANGED + 1])
    changed = leased = 0
    for start in range(0, min(len(keys), MOST_CHANGED), CHUNK):
        some = keys[start : start + CHUNK]
        rows = OutboxEvent.objects.using(chosen.db).filter(pk__in=some[: MOST_CHANGED - start])
        now = get_database_time(chosen.db)
        fitting = narrow(rows, now)
        with _held(fitting) as found:
            if found:
                change(fitting.filter(pk__in=[row.pk for row in found]), now)
        if found:
            note(found)
        changed += len(found)
        leased += rows.waiting().exclude(lease_token="").filter(due_at__gt=now).count()
    return Done(changed, leased, len(keys) > MOST_CHANGED)


@contextmanager
def _held(rows: OutboxQuerySet) -> Iterator[list[OutboxEvent]]:
    """Keep relays away from the rows while they are changed, but for those that have them."""
    if connections[rows.db].features.has_select_for_update_skip_locked:  # pragma: no cover
        with transaction.atomic(using=rows.db):
            yield list(rows.select_for_update(skip_locked=True))
    else:
        # SQLite has one writer, and would refuse to make one of a reader.
        yield list(rows)


def find_failed(rows: OutboxQuerySet, now: datetime) -> OutboxQuerySet:
    """Return what was refused or given up."""
    return rows.filter(status__in=(Status.REJECTED, Status.DEAD))


def find_put_off(rows: OutboxQuerySet, now: datetime) -> OutboxQuerySet:
    """Return what waits for its next try."""
    return rows.waiting().filter(due_at__gt=now, lease_token="")


def find_waiting(rows: OutboxQuerySet, now: datetime) -> OutboxQuerySet:
    """Return what waits and is not being sent."""
    return rows.waiting().unleased(now)


def send_again(rows: OutboxQuerySet, now: datetime) -> None:
    """Let rows that have failed wait again."""
    rows.send_again(now)


def send_now(rows: OutboxQuerySet, now: datetime) -> None:
    """Let rows be due at once."""
    rows.update(due_at=now)


def give_up(rows: OutboxQuerySet, now: datetime, said: str) -> None:
    """Make dead letters of rows."""
    rows.update(status=Status.DEAD, settled_at=now, lease_token="", last_error=said)


def describe_end(name: str, reason: str) -> str:
    """Return what a row says that a person has given up."""
    return show(f"{GIVEN_UP}{name}: {reason}", MAX_ERROR)


def report_given_up(rows: Sequence[OutboxEvent]) -> None:
    """Say of rows that a person has given up what is said of all that is."""
    reporter = Reporter(EventBackend)
    events = []
    for row in rows:
        try:
            if row.is_announcement:
                raise InvalidEvent("announcement", row.event_id, "it is no event yet")
            events.append(read_event(row))
        except InvalidEvent:
            detail = f"id={show(row.event_id)}"
            reporter.left_out(row.kind, "given_up", detail, key=str(row.pk))
    accounts.count_taken(events)
    if events:
        reporter.dropped(events, "given_up")


def log(user_pk: Any, rows: Sequence[OutboxEvent], said: str) -> None:
    """Write down who has done what to which rows, as the admin does of its own changes."""
    LogEntry.objects.log_actions(user_pk, rows, CHANGE, said)
