"""``manage.py topsort_purchase``: what an order is reported as, where that is read, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections, router

from django_topsort.orders import report_order
from django_topsort.outcomes import Outcomes
from django_topsort.purchases.buyers import get_order_key
from django_topsort.purchases.explaining import Explanation, explain_order
from django_topsort.purchases.stored_orders import (
    FoundOrder,
    OrderNotFound,
    find_order,
    get_order_model,
)
from django_topsort.wire import encode_event

if TYPE_CHECKING:
    from argparse import ArgumentParser

FLUSH_SECONDS = 15.0


class Command(BaseCommand):
    """Explains one order; with ``--send`` it reports it, too."""

    help = (
        "Shows the purchase that an order is reported as, where each value was read, which lines"
        " were left out and why, and who the shopper is. --send reports it, and ends with 1 where"
        " it has not arrived."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("label", metavar="LABEL", help="the order's model, such as shop.Order")
        parser.add_argument("key", metavar="KEY", help="the order's number, or its primary key")
        parser.add_argument("--pk", action="store_true", help="KEY is the primary key")
        parser.add_argument("--using", default=None, help="the database (default: the routers')")
        parser.add_argument("--opaque-user-id", default=None, help="whose order it is")
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="for a person or a program"
        )
        parser.add_argument(
            "--send", action="store_true", help="report it, and say what came of it"
        )

    def handle(self, **options: Any) -> None:
        try:
            model = get_order_model(options["label"])
            using = options["using"] or router.db_for_write(model)
            if using not in connections:
                raise OrderNotFound(f"there is no database {using!r} in DATABASES")
            found = find_order(model, options["key"], using, by_primary_key=options["pk"])
        except OrderNotFound as error:
            raise CommandError(str(error)) from None
        explanation = explain_order(found.order, options["opaque_user_id"])
        reported = find_row(explanation)
        sent = is_delivered = None
        if options["send"]:
            is_delivered, sent = send(found, explanation, options["opaque_user_id"])
        if options["format"] == "json":
            content = {
                "found_by": found.how,
                "note": found.note,
                "reader": explanation.reader,
                "reason": explanation.reason,
                "verdict": explanation.verdict,
                "shopper": explanation.shopper,
                "currency": explanation.currency,
                "purchase": msgspec.Raw(encode_purchase(explanation) or b"null"),
                "origins": [origin._asdict() for origin in explanation.origins],
                "lines": [line._asdict() for line in explanation.lines],
                "reported": reported,
                "sent": sent,
            }
            self.stdout.write(msgspec.json.format(msgspec.json.encode(content)).decode())
        else:
            self.stdout.write(describe(found, explanation, reported))
            if sent is not None:
                self.stdout.write(f"\nSent: {sent}")
        if is_delivered is False:
            raise SystemExit(1)


def encode_purchase(explanation: Explanation) -> bytes:
    """Return the purchase's JSON as it goes out, empty where there is none."""
    return b"" if explanation.purchase is None else encode_event(explanation.purchase)


def find_row(explanation: Explanation) -> str:
    """Return in words what the outbox knows of the purchase; ``""`` without an outbox."""
    if not apps.is_installed("django_topsort.outbox"):
        return ""
    if explanation.purchase is None:
        return "not looked for: there is no purchase"
    from django_topsort.outbox.models import OutboxEvent
    from django_topsort.outbox.rows import build_key
    from django_topsort.outbox.store import get_outbox_database

    key = build_key("purchases", explanation.purchase.id)
    try:
        row = OutboxEvent.objects.using(get_outbox_database()).filter(key=key).first()
    except DatabaseError as error:
        return f"not known, the outbox cannot be read: {type(error).__name__}; is it migrated?"
    if row is None:
        return "not in the outbox (delivered rows stay for TOPSORT_OUTBOX_KEEP_DELIVERED seconds)"
    settled = f" since {row.settled_at:%Y-%m-%d %H:%M}" if row.settled_at else ""
    said = f": {row.last_error}" if row.last_error else ""
    return f"in the outbox: {row.status}{settled}, attempts: {row.attempts}{said}"


def send(
    found: FoundOrder, explanation: Explanation, opaque_user_id: str | None
) -> tuple[bool, str]:
    """Report the order as a shop does; return whether it was delivered, and what became of it."""
    if explanation.purchase is None:
        return False, f"nothing, {explanation.reason}: {explanation.verdict}"
    name = explanation.purchase.id
    with Outcomes() as outcomes:
        report_order(found.order, opaque_user_id=opaque_user_id)
        outcomes.flush(FLUSH_SECONDS)
        became = outcomes.describe(name)
    if became == "duplicate":
        said = find_row(explanation)
        return "delivered" in said, f"not again: it is {said or 'on its way'}"
    return became == "delivered", became


def describe(found: FoundOrder, explanation: Explanation, reported: str) -> str:
    """Return an explanation as a person reads it."""
    meta = found.order._meta
    lines = [
        f"Order {get_order_key(found.order)!r}: {meta.label} {found.order.pk}, found by {found.how}"
    ]
    if found.note:
        lines.append(f"  Note: {found.note}")
    facts = {
        "Verdict": f"{explanation.reason}: {explanation.verdict}".removeprefix(": "),
        "Reader": explanation.reader,
        "Shopper": explanation.shopper,
        "Currency": explanation.currency,
        "Reported": reported,
    }
    lines += [f"{name:<9} {text}" for name, text in facts.items() if text]
    if explanation.origins:
        lines += ["", "Where it was read"]
        width = max(len(origin.field) for origin in explanation.origins)
        lines += [
            f"  {one.field:<{width}}  {one.value}".rstrip() + f"  <- {one.origin}"
            for one in explanation.origins
        ]
    left_out = [
        f"  line {one.line}: {one.words} ({one.reason})" for one in explanation.lines if one.reason
    ]
    if left_out:
        lines += ["", "Lines left out", *left_out]
    merged: dict[int, list[int]] = {}
    for one in explanation.lines:
        for item in one.items[:1]:
            merged.setdefault(item, []).append(one.line)
    several = {item: of for item, of in sorted(merged.items()) if len(of) > 1}
    if several:
        lines += ["", "Items made of several lines"]
        lines += [
            f"  items[{item}]: lines {', '.join(map(str, of))}" for item, of in several.items()
        ]
    if explanation.purchase is not None:
        body = msgspec.json.format(encode_purchase(explanation)).decode()
        lines += ["", "The purchase, as it goes out", body]
    return "\n".join(lines)
