"""``manage.py topsort_dead_letters``: lists what was refused or given up, and sends it again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Count

from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.outbox.store import get_outbox_database

STATUSES = (Status.DEAD.value, Status.REJECTED.value)
MAX_SHOWN = 100


class Command(BaseCommand):
    """Lists dead letters, sends them again, or deletes them."""

    help = "Lists the events that Topsort refused (rejected) and those that were given up (dead)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", choices=EVENT_KINDS, help="default: all")
        parser.add_argument("--status", choices=STATUSES, help="default: both")
        parser.add_argument("--event-id", action="append", help="of a purchase: the order's number")
        parser.add_argument("--dry-run", action="store_true", help="say how many, and do nothing")
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--send-again", action="store_true", help="try them anew")
        action.add_argument("--delete", action="store_true", help="give them up for good")

    def handle(self, **options: Any) -> None:
        try:
            self._handle(**options)
        except DatabaseError as error:
            raise CommandError(f"the outbox cannot be read: {error}") from error

    def _handle(self, **options: Any) -> None:
        using = get_outbox_database()
        rows = OutboxEvent.objects.using(using).filter(
            status__in=[options["status"]] if options["status"] else STATUSES
        )
        if options["kind"]:
            rows = rows.filter(kind=options["kind"])
        if options["event_id"]:
            rows = rows.filter(event_id__in=options["event_id"])
        if not (options["send_again"] or options["delete"]):
            self._show(rows)
            return
        verb = "wait again" if options["send_again"] else "deleted"
        if options["dry_run"]:
            self.stdout.write(f"dry run, {verb}: {rows.count()}")
        elif options["send_again"]:
            self.stdout.write(f"{verb}: {rows.send_again(get_database_time(using))}")
        else:
            self.stdout.write(f"{verb}: {rows.delete()[0]}")

    def _show(self, rows: Any) -> None:
        if not rows.exists():
            self.stdout.write("nothing was refused or given up")
        for row in rows.order_by("pk")[:MAX_SHOWN]:
            self.stdout.write(f"{row.kind} {row.event_id} {row.status}: {row.last_error}")
        for found in rows.order_by().values("kind", "status").annotate(count=Count("pk")):
            self.stdout.write(f"{found['kind']} {found['status']}: {found['count']} in all")
