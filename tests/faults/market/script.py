"""What a script of the market begins with: ``from tests.faults.market.script import *``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import django

shift = float(os.environ.get("MARKET_CLOCK", "0"))
if shift:
    # This host's clock is wrong; the database's is not.
    right_time = time.time
    time.time = lambda: right_time() + shift

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402

from django_topsort.delivery import deliver_safely, flush  # noqa: E402
from django_topsort.outbox.models import OutboxEvent  # noqa: E402
from django_topsort.signals import order_paid  # noqa: E402
from django_topsort.tracking import record, track_purchase  # noqa: E402
from tests.orders import place_order  # noqa: E402
from tests.sending.engine import build_event, build_events  # noqa: E402
from tests.shop.models import Order  # noqa: E402

__all__ = [
    "Order",
    "OutboxEvent",
    "build_event",
    "build_events",
    "buy",
    "call_command",
    "connection",
    "connections",
    "deliver_safely",
    "die",
    "flush",
    "order_paid",
    "os",
    "place_order",
    "record",
    "store",
    "tell",
    "time",
    "track_purchase",
    "transaction",
]


def tell(**facts: Any) -> None:
    """Say something to the test, which reads the last of it."""
    sys.stdout.write(f"\n{json.dumps(facts)}\n")
    sys.stdout.flush()


def die() -> None:
    """End as a process does for which the machine has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def buy(number: str) -> Order:
    """Place an order that is paid, in the caller's transaction."""
    order = place_order(number)
    order_paid.send(sender=Order, order=order, opaque_user_id="shopper-1")
    return order


def store(prefix: str, count: int, kind: str = "purchases") -> None:
    """Write finished events into the outbox."""
    deliver_safely([build_event(kind, f"{prefix}-{number}") for number in range(count)])
