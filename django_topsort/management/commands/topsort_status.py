"""``manage.py topsort_status``: what became of the events, and what waits."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from django_topsort.status import describe_status, format_prometheus, get_status

FORMATS = ("text", "json", "prometheus")


class Command(BaseCommand):
    """Shows the status; of the web processes what they have in the outbox."""

    help = (
        "Shows what is in the outbox of all processes, and what became of this process's own"
        " events, which are none in a command: django_topsort.status.get_status() says it of the"
        " process that calls it. Ends with 1 where purchases are dead letters, refused, or wait for"
        " more than --max-age seconds, and where the outbox cannot be read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--format", choices=FORMATS, default="text", help="for a person or a program"
        )
        parser.add_argument(
            "--max-age",
            type=float,
            default=None,
            help="seconds for which a purchase may wait before it is an alarm (default: any)",
        )

    def handle(self, *, format: str, max_age: float | None, **options: Any) -> None:  # noqa: A002 - the option's name
        status = get_status()
        if format == "json":
            self.stdout.write(json.dumps(status))
        elif format == "prometheus":
            self.stdout.write(format_prometheus(status), ending="")
        else:
            self.stdout.write(describe_status(status))
        purchases = (status["outbox"] or {}).get("purchases", {})
        is_late = max_age is not None and (purchases.get("oldest_seconds") or 0) > max_age
        is_lost = purchases.get("dead") or purchases.get("rejected")
        if is_late or is_lost or status["error"]:
            raise SystemExit(1)
