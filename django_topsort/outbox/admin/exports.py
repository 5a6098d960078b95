"""Rows as a file, for whoever is asked for help: without the key, and without the shoppers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse

from django_topsort.outbox.admin.payloads import build_payload

if TYPE_CHECKING:
    from django_topsort.outbox.models import OutboxEvent

COLUMNS = (
    "kind",
    "id",
    "status",
    "attempts",
    "occurredAt",
    "createdAt",
    "dueAt",
    "settledAt",
    "reason",
    "payload",
)
# With these a spreadsheet takes a cell for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def export_json(rows: Iterable[OutboxEvent]) -> HttpResponse:
    """Return the rows as a JSON list."""
    text = json.dumps([_describe(row) for row in rows], indent=2, ensure_ascii=False)
    return _answer(text, "application/json", "json")


def export_csv(rows: Iterable[OutboxEvent]) -> HttpResponse:
    """Return the rows as comma-separated values, in which no text is a formula."""
    output = StringIO()
    writer = csv.writer(output)
    writer.writerow(COLUMNS)
    for row in rows:
        found = _describe(row)
        found["payload"] = json.dumps(found["payload"], ensure_ascii=False)
        writer.writerow([_tame(found[name]) for name in COLUMNS])
    return _answer(output.getvalue(), "text/csv; charset=utf-8", "csv")


def _describe(row: OutboxEvent) -> dict[str, Any]:
    moments = (row.occurred_at, row.created_at, row.due_at, row.settled_at)
    values = (
        row.kind,
        row.event_id,
        row.status,
        row.attempts,
        *(moment and moment.isoformat() for moment in moments),
        row.last_error,
        build_payload(row, with_shopper=False),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _tame(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _answer(text: str, content_type: str, ending: str) -> HttpResponse:
    disposition = f'attachment; filename="topsort-outbox.{ending}"'
    headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
    return HttpResponse(text, content_type=content_type, headers=headers)
