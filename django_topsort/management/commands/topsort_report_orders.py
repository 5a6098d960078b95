"""``manage.py topsort_report_orders``: reports orders of the past, and can go on where it ended."""

from __future__ import annotations

import math
import signal
import sys
import time
from argparse import ArgumentTypeError
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections, router

from django_topsort.backfill import Backfill, Figures, Halted
from django_topsort.outcomes import Outcomes
from django_topsort.purchases.explaining import REASONS
from django_topsort.purchases.stored_orders import (
    OrderNotFound,
    Place,
    get_date_field,
    get_order_model,
    read_moment,
    read_place,
    walk_orders,
    write_place,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from types import FrameType

    from django.db import models

ORDERS_AT_ONCE = 200
BAR = 30  # characters
SECONDS_BETWEEN_LINES = 10.0


def read_rate(text: str) -> float:
    """Return a number of more than 0; ArgumentTypeError for what is none."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number of more than 0")
    return rate


class Command(BaseCommand):
    """Reports what was ordered before this package was there, or while it could not report."""

    help = (
        "Reports the orders placed since a day. A repeat is harmless: an order's number is its"
        " event's id. Ctrl-C and SIGTERM end it in order; what it prints then goes to --after."
        " Ends with 1 where orders could not be read or delivered, or where it did not come to the"
        " end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("label", metavar="LABEL", help="the order's model, such as shop.Order")
        parser.add_argument("--since", metavar="DATE", help="the first day or time")
        parser.add_argument("--until", metavar="DATE", help="the day or time before which it ends")
        parser.add_argument("--after", metavar="PLACE", help="go on behind what a run has printed")
        parser.add_argument("--date-field", default="", help="when an order was placed")
        parser.add_argument("--using", default=None, help="the database (default: the routers')")
        parser.add_argument("--dry-run", action="store_true", help="list, and send nothing")
        parser.add_argument("--rate", type=read_rate, default=50.0, help="purchases a second (50)")
        parser.add_argument(
            "--patience", type=read_rate, default=120.0, help="seconds without an answer (120)"
        )
        parser.add_argument(
            "--unknown", metavar="FILE", type=Path, help="add the orders of nobody known to it"
        )

    def handle(self, **options: Any) -> None:
        try:
            model = get_order_model(options["label"])
            field = get_date_field(model, options["date_field"])
            begin, end = self._read_bounds(model, field, options)
            using = options["using"] or router.db_for_read(model)
            if using not in connections:
                raise OrderNotFound(f"there is no database {using!r} in DATABASES")
        except OrderNotFound as error:
            raise CommandError(str(error)) from None
        self._is_stopped = False
        self._told_at = -math.inf
        with ExitStack() as stack:
            self._unknown = None
            if options["unknown"]:
                self._unknown = stack.enter_context(options["unknown"].open("a", encoding="utf-8"))
            outcomes = stack.enter_context(Outcomes())
            backfill = self._build(field.name, begin, outcomes, options)
            stack.enter_context(stopping(self._stop))
            # The base manager, because a default manager may hide orders of some states.
            rows = model._base_manager.using(using)
            halted = self._walk(backfill, rows, field.name, end)
        self._summarize(backfill, halted, is_dry=options["dry_run"])
        if backfill.place != begin and backfill.place.key is not None:
            self.stdout.write(f"Go on with: --after {write_place(backfill.place)}")
        failed = backfill.figures.raised or outcomes.failed
        if halted or self._is_stopped or failed:
            raise SystemExit(1)

    def _read_bounds(
        self,
        model: type[models.Model],
        field: models.DateField[Any, Any],
        options: dict[str, Any],
    ) -> tuple[Place, Any]:
        end = read_moment(field, options["until"]) if options["until"] else None
        if options["after"]:
            return read_place(model, field, options["after"]), end
        if not options["since"]:
            raise OrderNotFound("say where to begin: --since 2026-11-01, or --after")
        return Place(read_moment(field, options["since"]), None), end

    def _build(
        self, field_name: str, begin: Place, outcomes: Outcomes, options: dict[str, Any]
    ) -> Backfill:
        return Backfill(
            field_name=field_name,
            place=begin,
            outcomes=outcomes,
            rate=options["rate"],
            patience=options["patience"],
            is_dry=options["dry_run"],
            is_stopped=lambda: self._is_stopped,
            tell_unknown=self._tell_unknown,
            tell_raised=self._tell_raised,
            tell_reported=self._tell_reported,
            tell_progress=self._tell_progress,
        )

    def _walk(self, backfill: Backfill, rows: models.QuerySet[Any], field: str, end: Any) -> str:
        """Report all; return why that came to no good end, ``""`` where it did."""
        begin = backfill.place
        try:
            self._total = count_orders(rows, field, begin, end)
            lists = walk_orders(rows, field, until=end, after=begin, most=ORDERS_AT_ONCE)
            backfill.run(lists)
        except Halted as error:
            return str(error)
        except DatabaseError as error:
            return f"the orders cannot be read: {type(error).__name__}: {error}"
        return ""

    def _stop(self) -> None:
        self._is_stopped = True

    def _tell_unknown(self, name: str) -> None:
        if self._unknown is not None:
            self._unknown.write(f"{name}\n")
        else:
            self._say(f"unknown shopper: {name}")

    def _tell_raised(self, name: str, error: Exception) -> None:
        # The type alone: what a shop's own error says may be personal, and this may be kept.
        self._say(f"not read: {name}: {type(error).__name__}; see manage.py topsort_purchase")

    def _tell_reported(self, name: str, items: int) -> None:
        self._say(f"would report: {name} (items: {items})")

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write("\r\033[K", ending="")  # the bar
        self.stdout.write(text)

    def _tell_progress(self, figures: Figures) -> None:
        if sys.stderr.isatty():
            done = min(1.0, figures.read / max(1, self._total))
            bar = "#" * round(BAR * done)
            self.stderr.write(f"\r[{bar:<{BAR}}] {figures.read} of {self._total}", ending="")
            self.stderr.flush()
        elif time.monotonic() - self._told_at > SECONDS_BETWEEN_LINES:
            self._told_at = time.monotonic()
            self.stderr.write(f"{figures.read} of {self._total} orders read")

    def _summarize(self, backfill: Backfill, halted: str, *, is_dry: bool) -> None:
        figures, outcomes = backfill.figures, backfill.outcomes
        became = outcomes.get_figures()
        repeated = became["reasons"].get("duplicate", 0)
        lost = became["rejected"] + became["dropped"] - repeated
        for name, why in outcomes.failed.items():
            self._say(f"failed: {name}: {why}")
        left_out = figures.left_out
        lines = [
            f"Orders read: {figures.read}",
            f"  {'would be ' if is_dry else ''}reported: {figures.reported - repeated - lost}",
            f"  already reported: {repeated}",
            f"  unknown shopper: {figures.unknown}",
            f"  left out: {left_out.total()}",
            *(f"    {why}: {count} ({explain(why)})" for why, count in left_out.most_common()),
            f"  failed: {figures.raised + lost}",
        ]
        if became["waiting"] > 0:
            lines.append(f"  not delivered yet, in memory: {became['waiting']}")
        self._say("\n".join(lines))
        if halted:
            self.stderr.write(f"Ended early: {halted}")
        elif self._is_stopped:
            self.stderr.write("Ended early: it was told to stop")


def explain(reason: str) -> str:
    """Return a reason in words."""
    return REASONS.get(reason, "see manage.py topsort_purchase")


def count_orders(rows: models.QuerySet[Any], field: str, begin: Place, end: Any) -> int:
    """Return about how many orders there are: for the progress alone."""
    rows = rows.filter(**{f"{field}__gte": begin.moment})
    return (rows if end is None else rows.filter(**{f"{field}__lt": end})).count()


def stopping(stop: Any) -> ExitStack:
    """Call ``stop`` at SIGTERM and Ctrl-C within a ``with`` block."""

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop()

    stack = ExitStack()
    for number in (signal.SIGTERM, signal.SIGINT):
        stack.callback(signal.signal, number, signal.signal(number, ask_to_stop))
    return stack
