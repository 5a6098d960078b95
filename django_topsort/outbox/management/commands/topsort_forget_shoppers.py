"""``manage.py topsort_forget_shoppers``: deletes who has placed which order."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from django_topsort.outbox.models import RememberedShopper
from django_topsort.outbox.retention import delete_rows, find_old_shoppers
from django_topsort.outbox.store import get_shoppers_database
from django_topsort.purchases.buyers import get_order_key
from django_topsort.purchases.keeping import forget_cached

DAY = 24 * 60 * 60


class Command(BaseCommand):
    """Deletes remembered shoppers: by age, by order, or all of one person's."""

    help = (
        "Deletes who has placed which order: by default what is older than"
        " TOPSORT_OUTBOX_KEEP_SHOPPERS. Of several options all must hold."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than", type=float, metavar="DAYS", help="since the order was placed last"
        )
        parser.add_argument(
            "--order", nargs="+", action="extend", metavar="NUMBER", help="who placed these"
        )
        parser.add_argument("--opaque-user-id", metavar="ID", help="a person's; it is not shown")
        parser.add_argument("--dry-run", action="store_true", help="say how many, and do nothing")

    def handle(self, **options: Any) -> None:
        days, user_id = options["older_than"], options["opaque_user_id"]
        if days is not None and not 0 <= days <= 36_500:
            raise CommandError(f"--older-than: {days:g} is not allowed, write 0 to 36500 days")
        if user_id == "":
            # An empty one stands for those who may not be tracked.
            raise CommandError("--opaque-user-id: it is empty; write the id, or leave it out")
        try:
            self._forget(days, options["order"], user_id, is_dry=options["dry_run"])
        except DatabaseError as error:
            # Without its text, in which the id may be.
            name = type(error).__name__
            message = f"the outbox cannot be read: {name}; is it migrated, and the database there?"
            raise CommandError(message) from None

    def _forget(
        self, days: float | None, orders: list[str] | None, user_id: str | None, *, is_dry: bool
    ) -> None:
        using = get_shoppers_database()
        rows = RememberedShopper.objects.using(using).all()
        if days is not None or (orders is None and user_id is None):
            rows = find_old_shoppers(using, None if days is None else days * DAY)
        if orders is not None:
            rows = rows.filter(order_key__in=[get_order_key(number) for number in orders])
        if user_id is not None:
            rows = rows.filter(opaque_user_id=user_id)
        if is_dry:
            self.stdout.write(f"dry run, forgotten: {rows.count()}")
            return
        self.stdout.write(f"forgotten: {delete_rows(rows)}")
        if orders is not None and days is None and user_id is None:
            for number in orders:
                forget_cached(get_order_key(number))
