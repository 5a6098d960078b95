"""What a row has in it, for people: without the shopper, whom nobody needs to see for this."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_topsort.outbox.models import OutboxEvent

HIDDEN = "(hidden)"
OF_SHOPPER = frozenset({"opaqueUserId", "opaque_user_id", "shopper"})


def build_payload(row: OutboxEvent, *, with_shopper: bool) -> Any:
    """Return what the row has in it; None where it is no JSON, in which anything may stand."""
    try:
        payload = json.loads(row.payload)
        if row.is_announcement and payload.get("purchase"):
            payload["purchase"] = json.loads(payload["purchase"])
    except (ValueError, AttributeError, TypeError):
        return None
    return payload if with_shopper else _hide(payload)


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: HIDDEN if name in OF_SHOPPER and inner is not None else _hide(inner)
            for name, inner in value.items()
        }
    return [_hide(inner) for inner in value] if isinstance(value, list) else value


def format_payload(payload: Any) -> str:
    """Return a payload as JSON that a person reads."""
    return json.dumps(payload, indent=2, ensure_ascii=False)
