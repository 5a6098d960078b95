"""What the rows tell of the whole outbox, at a price that does not grow with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q

from django_topsort.backends.thread import read_number
from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.admin.listing import MOST
from django_topsort.outbox.admin.reasons import classify
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import WAITING, OutboxEvent, Status
from django_topsort.outbox.relay import FIRST_BACKOFF, LONGEST_BACKOFF
from django_topsort.outbox.store import get_outbox_database

SAMPLE = 1000  # rows of one kind and status whose reasons are read
# Of these a person wants to know; nobody counts what was delivered.
PAIRS = (
    (Status.ANNOUNCED, "purchases"),
    *(
        (status, kind)
        for status in (Status.PENDING, Status.REJECTED, Status.DEAD)
        for kind in EVENT_KINDS
    ),
)


class Part(NamedTuple):
    """The rows of one kind and status. ``total``: ``MOST`` + 1 stands for more than ``MOST``."""

    status: Status
    kind: str
    total: int
    oldest: datetime | None
    first_due: datetime | None
    leased: int


class Failure(NamedTuple):
    """Why rows wait. ``at``: when a request failed at the earliest, as far as the row tells."""

    text: str
    at: datetime


class Figures(NamedTuple):
    """What all rows tell. ``reasons``: by class and text, the most frequent first."""

    now: datetime
    parts: tuple[Part, ...]
    reasons: tuple[tuple[str, str, int], ...]
    delivered_at: datetime | None
    failure: Failure | None

    def find(self, statuses: Iterable[Status], kind: str = "") -> list[Part]:
        """Return the parts of these statuses, and of one kind or of all."""
        return [part for part in self.parts if part.status in statuses and kind in {"", part.kind}]


def get_figures() -> Figures:
    """Return what the outbox holds. Costs at most 28 queries, each of no more than 10,001 rows."""
    using = get_outbox_database()
    rows = OutboxEvent.objects.using(using)
    now = get_database_time(using)
    parts = tuple(part for part in _get_parts(rows, now) if part.total)
    counts: Counter[tuple[str, str]] = Counter()
    failures: list[Failure] = []
    for part in parts:
        texts, failure = _get_reasons(rows, part)
        counts.update(texts)
        if failure is not None:
            failures.append(failure)
    reasons = tuple((name, text, count) for (name, text), count in counts.most_common(5))
    last = max((failure for failure in failures), key=lambda one: one.at, default=None)
    return Figures(now, parts, reasons, _get_last_delivered(rows), last)


def _get_parts(rows: Any, now: datetime) -> Iterator[Part]:
    soon = now + timedelta(seconds=read_number("TOPSORT_OUTBOX_LEASE", 1))
    is_leased = Q(due_at__gt=now, due_at__lte=soon) & ~Q(lease_token="")
    for status, kind in PAIRS:
        some = rows.filter(status=status, kind=kind).order_by("due_at")[: MOST + 1]
        found = some.aggregate(
            total=Count("pk"),
            oldest=Min("created_at"),
            first_due=Min("due_at"),
            leased=Count("pk", filter=is_leased),
        )
        yield Part(status, kind, **found)


def _get_last_delivered(rows: Any) -> datetime | None:
    done = rows.filter(status=Status.DELIVERED, settled_at__isnull=False).order_by("-settled_at")
    return done.values_list("settled_at", flat=True).first()  # type: ignore[no-any-return]


def _get_reasons(rows: Any, part: Part) -> tuple[list[tuple[str, str]], Failure | None]:
    """Return why up to ``SAMPLE`` rows are where they are, and the last failure of these."""
    # What was put off last is due last, as a rule; both orders are those of an index.
    is_waiting = part.status in WAITING
    order = "-due_at" if is_waiting else "-settled_at"
    some = rows.filter(status=part.status, kind=part.kind).order_by(order)[:SAMPLE]
    if not is_waiting:
        texts = some.values_list("last_error", flat=True)
        return [(classify(text), shorten(text)) for text in texts if text], None
    found = list(some.values_list("last_error", "attempts", "due_at", "lease_token"))
    failures = [
        Failure(
            text,
            due_at
            - timedelta(seconds=min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempts, 16))),
        )
        for text, attempts, due_at, token in found
        if text and not token
    ]
    last = max(failures, key=lambda failure: failure.at, default=None)
    return [(classify(text), shorten(text)) for text, *_ in found if text], last


def shorten(text: str) -> str:
    """Return the beginning of what a row says: the error's name, its status and its code."""
    head = text.split(": ", 1)[0].split(" docUrl=", 1)[0]
    return head if len(head) <= 120 else f"{head[:119]}…"
