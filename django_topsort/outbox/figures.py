"""How many rows there are, and how old: what all processes have stored."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Min

from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import WAITING, OutboxEvent, Status
from django_topsort.outbox.store import borrowed_connection, get_outbox_database


def get_figures() -> dict[str, dict[str, Any]]:
    """Return by kind how many rows are ``waiting``, ``delivered``, ``rejected`` or ``dead``.

    ``stored`` is their sum, ``oldest_seconds`` for how long the oldest one waits (None: nothing
    waits). Delivered rows count until they are deleted. Raises what the database does.
    """
    using = get_outbox_database()
    figures: dict[str, dict[str, Any]] = {
        kind: {
            "stored": 0,
            "waiting": 0,
            "delivered": 0,
            "rejected": 0,
            "dead": 0,
            "oldest_seconds": None,
        }
        for kind in EVENT_KINDS
    }
    with borrowed_connection(using):
        now = get_database_time(using)
        rows = OutboxEvent.objects.using(using).order_by()
        found = rows.values("kind", "status").annotate(count=Count("pk"), oldest=Min("created_at"))
        for row in found:
            kind, status = figures.get(row["kind"]), row["status"]
            if kind is None or status not in Status.values:
                continue  # of a version that knows more of them than this one
            kind["stored"] += row["count"]
            if status not in WAITING:
                kind[Status(status).value] += row["count"]
                continue
            kind["waiting"] += row["count"]
            age = max(0.0, (now - row["oldest"]).total_seconds())
            kind["oldest_seconds"] = max(age, kind["oldest_seconds"] or 0.0)
    return figures
