"""Bodies as browsers send them, and the requests that bring them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.http import HttpRequest
from django.test import RequestFactory

URL = "/topsort/v2/events"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HEADERS = {
    "user-agent": FIREFOX,
    "cookie": "tsuid=shopper-1",
    "referer": "http://testserver/shoes/?q=boots",
    "origin": "http://testserver",
    "sec-fetch-site": "same-origin",
}


def say_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build_impression(**fields: Any) -> dict[str, Any]:
    """Return an organic impression as our script sends it; None takes a field away."""
    content = {
        "id": str(uuid4()),
        "occurredAt": say_now(),
        "entity": {"type": "product", "id": "shoe-1"},
        "placement": {"path": "/shoes/", "position": 1},
        **fields,
    }
    return {name: value for name, value in content.items() if value is not None}


def build_sponsored(bid: str = "bid-1", **fields: Any) -> dict[str, Any]:
    return build_impression(**{"entity": None, "resolvedBidId": bid, **fields})


def build_purchase(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "occurredAt": say_now(), "items": [*items], **fields}


def encode(**kinds: Any) -> bytes:
    return json.dumps(kinds).encode()


def build_request(query: str = "", **headers: str) -> HttpRequest:
    """Return a request from a page of the shop; an empty text takes a header away."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in {**HEADERS, **named}.items() if value}
    return RequestFactory().post(f"{URL}{query}", headers=given)
