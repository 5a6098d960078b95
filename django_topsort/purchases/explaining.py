"""Why an order is the purchase that it is, or is none: every value, and where it was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from django_topsort.conf import topsort_settings
from django_topsort.events import Purchase
from django_topsort.exceptions import InvalidEvent, TopsortConfigurationError, UnreportableOrder
from django_topsort.purchases.amounts import read_time
from django_topsort.purchases.buyers import find_buyer, get_remembered_at, has_refused
from django_topsort.purchases.finding import judge_purchase
from django_topsort.purchases.itemizing import explain_items
from django_topsort.purchases.reader import OrderReader, get_reader
from django_topsort.purchases.snapshot import OrderSnapshot
from django_topsort.purchases.tracing import Origin, Tracer, show
from django_topsort.purchases.values import read_currency

if TYPE_CHECKING:
    from datetime import datetime

    from django_topsort.purchases.buyers import Buyer
    from django_topsort.purchases.itemizing import LineVerdict

REASONS = {
    "incomplete": "the reader says that it is no purchase, or not yet",
    "currency": "it is in another currency than TOPSORT_CURRENCY",
    "no_payable_line": "it has no line that was paid for, or none that can be read",
    "no_consent": "the shopper may not be tracked: that was said at the order",
    "deleted": "it is gone from the database",
}
NOBODY = (
    "nobody knows. Send order_placed at the checkout, keep the id on the order"
    " (topsort_user_id), or give --opaque-user-id here"
)


@dataclass(kw_only=True)
class Explanation:
    """What would be reported of an order.

    ``reason``: why nothing would be, ``""`` where something would; ``verdict`` says it in words.
    ``purchase``: what would be sent. ``lines``: what became of each. ``shopper``: how it is known
    whose the order is. ``currency``: what ``TOPSORT_CURRENCY`` makes of it.
    """

    reader: str
    reason: str = ""
    verdict: str = ""
    shopper: str = ""
    currency: str = ""
    purchase: Purchase | None = None
    origins: list[Origin] = field(default_factory=list)
    lines: list[LineVerdict] = field(default_factory=list)


def explain_order(order: Any, opaque_user_id: str | None = None) -> Explanation:
    """Return what ``order`` would be reported as, and why. Nothing is sent, and nothing raised.

    ``order`` must be as its database has it. Without ``opaque_user_id`` its shopper is looked for.
    """
    tracer = Tracer(get_reader(order))
    explanation = Explanation(reader=tracer.name)
    judged = _judge(order, opaque_user_id, tracer, explanation)
    reading = tracer.reading
    buyer = None
    if explanation.reason not in ("invalid", "raised"):
        buyer = find_buyer(order, opaque_user_id=opaque_user_id)
        explanation.shopper = _explain_shopper(order, buyer, tracer)
    explanation.purchase = judged
    if isinstance(reading, OrderSnapshot):
        explanation.currency = _explain_currency(reading, tracer)
        items, explanation.lines = explain_items(reading, tracer, judged)
        explanation.origins = [*_explain_head(reading, buyer, judged, tracer), *items]
    elif judged is not None:
        said = f"as {tracer.name} returned it, in a Purchase"
        explanation.origins = [Origin("all but the shopper", "", said)]
    return explanation


def _judge(
    order: Any, opaque_user_id: str | None, tracer: Tracer, explanation: Explanation
) -> Purchase | None:
    try:
        judged = judge_purchase(order, opaque_user_id=opaque_user_id, read=tracer)
    except UnreportableOrder as error:
        explanation.reason, explanation.verdict = error.reason, error.detail
        return None
    except InvalidEvent as error:
        explanation.reason, explanation.verdict = "invalid", f"{error.field}: {error.rule}"
        return None
    except TopsortConfigurationError as error:
        explanation.reason, explanation.verdict = "invalid", str(error)
        return None
    except Exception as error:
        where = tracer.get_failure() or tracer.name
        explanation.reason = "raised"
        explanation.verdict = f"{where} raised {type(error).__name__}: {show(error)}"
        return None
    if isinstance(judged, Purchase):
        explanation.verdict = "it is complete, and would be reported"
        return judged
    explanation.reason, explanation.verdict = judged, REASONS[judged]
    if judged == "incomplete":
        explanation.verdict += f" ({_name_refuser(tracer)})"
    return None


def _name_refuser(tracer: Tracer) -> str:
    step = tracer.root.get_step("is_complete")
    if step is None or step.value:
        return f"{tracer.name} returned None"
    return f"{step.definer}.is_complete" if step.definer else "testmode is True"


def _explain_head(
    reading: OrderSnapshot, buyer: Buyer | None, judged: Purchase | None, tracer: Tracer
) -> list[Origin]:
    """Return where the fields of the purchase itself are from."""
    placed_at = read_time(reading.placed_at)
    shown = placed_at.isoformat() if placed_at else ""
    origins = [
        Origin("id", show(reading.key), explain_value(tracer, "get_key", reading.key)),
        Origin("occurredAt", shown, explain_value(tracer, "get_placed_at", reading.placed_at)),
    ]
    if placed_at is None:
        said = "the moment of the report: the order says no time, and no click can be told from it"
        origins[-1] = Origin("occurredAt", "now", said)
    for name, label in (("device_type", "deviceType"), ("channel", "channel")):
        own, known = getattr(reading, name), getattr(buyer, name, None)
        if known is not None and buyer is not None and buyer.source == "remembered":
            origins.append(Origin(label, known, "remembered with the shopper"))
        elif own is not None:
            origins.append(Origin(label, own, explain_value(tracer, f"get_{name}", own)))
        elif judged is not None and getattr(judged, name) is not None:
            origins.append(Origin(label, getattr(judged, name), f"TOPSORT_{name.upper()}"))
    return origins


def explain_value(tracer: Tracer, method: str, value: object) -> str:
    """Return where ``value``, of the order itself, is from; in doubt, which method made it."""
    step = tracer.root.get_step(method)
    if step is None or step.value is not value:
        return f"from {tracer.name_maker()}"
    return step.describe() or "nothing was found"


def _explain_shopper(order: Any, buyer: Buyer | None, tracer: Tracer) -> str:
    """Return who ordered and how that is known, or what to do where nobody knows."""
    if buyer is None:
        if has_refused(order):
            return "may not be tracked: that was said at the order"
        return NOBODY
    name = buyer.opaque_user_id
    if buyer.source == "argument":
        return f"{name}, given by --opaque-user-id"
    if buyer.source == "remembered":
        return f"{name}, {_describe_memory(get_remembered_at(order))}"
    return f"{name}, {_explain_own_shopper(order, tracer)}"


def _explain_own_shopper(order: Any, tracer: Tracer) -> str:
    if not tracer.is_followed:
        if getattr(tracer.reading, "opaque_user_id", None):
            return f"from {tracer.name}"
        # A function that does not say it leaves it to the names that shops use.
        tracer = Tracer(OrderReader())
    # The order was asked for its shopper alone, before it was read.
    followed: Any = tracer.reader
    followed.get_opaque_user_id(order)
    step = tracer.root.inner.pop()
    return f"on the order: {step.describe()}"


def _describe_memory(remembered_at: datetime | None) -> str:
    if remembered_at is None:
        return "remembered in the cache"
    hours = (timezone.now() - remembered_at).total_seconds() / 3600
    age = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.1f} hours"
    return f"remembered {age} ago, when the order was placed"


def _explain_currency(reading: OrderSnapshot, tracer: Tracer) -> str:
    wanted = read_currency(topsort_settings.TOPSORT_CURRENCY)
    found = read_currency(reading.currency)
    if wanted is None:
        return f"{found or 'not said'}; TOPSORT_CURRENCY is not set, so that any is reported"
    if found is None:
        return f"the order says none, and is taken to be in {wanted} (TOPSORT_CURRENCY)"
    where = explain_value(tracer, "get_currency", reading.currency)
    return f"{found} ({where}); TOPSORT_CURRENCY is {wanted}"
