"""The page of a FakeApi: the events as they come, the funnel, and why a request was refused."""

from __future__ import annotations

import heapq
import json
import secrets
from collections import Counter
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from django_topsort.testing.answers import Answer
from django_topsort.testing.rules import KINDS, say_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_topsort.testing.ledger import Ledger, ReceivedEvent, ReceivedRequest

SHOWN = 200
SHOWN_PRODUCTS = 500
SHOWN_ITEMS = 3
PLAIN_DIGITS = 20  # an amount of more would be a line of zeros

# With these, no text in the data can end the script element that holds them.
ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def get_page(ledger: Ledger, method: str, path: str) -> Answer | None:
    """Return the page, its data or None, when the request is for something else.

    ``GET /`` is the page, ``GET /events.json`` its data; with ``?after=`` and the version of
    earlier data, 204 says that nothing has changed since.
    """
    url = urlsplit(path)
    if method != "GET":
        return None
    if url.path == "/":
        return ledger.read(lambda: build_page(ledger))  # type: ignore[no-any-return]
    if url.path == "/events.json":
        after = parse_qs(url.query).get("after", [""])[0]
        return ledger.read(lambda: build_data(ledger, after))  # type: ignore[no-any-return]
    return None


def build_page(ledger: Ledger) -> Answer:
    """Return the page with its first data, which may load nothing and run no script but its own."""
    nonce = secrets.token_urlsafe(16)
    text = files("django_topsort.testing").joinpath("page.html").read_text("utf-8")
    policy = (
        f"default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; "
        f"style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    data = _encode(get_data(ledger)).translate(ESCAPES)
    return Answer(
        status=200,
        # The data last: what stands in them is not looked through for marks.
        body=text.replace("{{ nonce }}", nonce).replace("{{ data }}", data).encode(),
        content_type="text/html; charset=utf-8",
        headers=(("Content-Security-Policy", policy), *NEVER_STORED),
    )


NEVER_STORED = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


def build_data(ledger: Ledger, after: str = "") -> Answer:
    """Return what the page shows as JSON, or 204 when its version is the one given."""
    if after == str(ledger.version):
        return Answer(status=204, headers=NEVER_STORED)
    return Answer(status=200, body=_encode(get_data(ledger)).encode(), headers=NEVER_STORED)


def get_data(ledger: Ledger) -> dict[str, Any]:
    """Return what the page shows: totals, products, and the latest events and requests."""
    requests = list(ledger.requests)[::-1]
    refused = [one for one in requests if one.status is not None and one.status >= 300]
    lost = [one for one in requests if one.status is None]
    return {
        "version": ledger.version,
        "totals": {kind: ledger.count(kind) for kind in KINDS},
        "requests": ledger.requests_count,
        "repeated": len(ledger.repeated),
        "products": list(_count_products(ledger.events)),
        "events": [_describe_event(event) for event in _get_latest(ledger.events)],
        "failed": len(refused) + len(lost),
        "refused": [_describe_request(request) for request in refused[:SHOWN]],
        "lost": [_describe_request(request) for request in lost[:SHOWN]],
    }


def _encode(data: dict[str, Any]) -> str:
    return json.dumps(data, default=str)


def _get_latest(events: Iterable[ReceivedEvent]) -> list[ReceivedEvent]:
    """Return the events that came last, the last one first.

    Those of one request came together: what occurred last is first among them, then what stands
    last in the request.
    """

    def get_rank(place: tuple[int, ReceivedEvent]) -> tuple[datetime, datetime, int]:
        index, event = place
        return event.time, datetime.fromisoformat(event["occurredAt"]), index

    return [event for _, event in heapq.nlargest(SHOWN, enumerate(events), key=get_rank)]


def _count_products(events: Iterable[ReceivedEvent]) -> Iterator[dict[str, Any]]:
    """Count impressions, clicks and purchases of each product.

    A sponsored event need not name its product, only the bid that was won: it counts for the
    product that another event names together with that bid, else for the bid itself.
    """
    products_by_bid = {
        event["resolvedBidId"]: (event["entity"]["type"], event["entity"]["id"])
        for event in events
        if "resolvedBidId" in event and "entity" in event
    }
    counts: dict[tuple[str, str], Counter[str]] = {}
    for event in events:
        for name, quantity in _get_names(event):
            owner = products_by_bid.get(name[1], name) if name[0] == "bid" else name
            counts.setdefault(owner, Counter())[event.kind] += quantity
    ranked = sorted(counts.items(), key=lambda item: -item[1].total())
    for (word, key), count in ranked[:SHOWN_PRODUCTS]:
        yield {"type": word, "id": key, **{kind: count[kind] for kind in KINDS[:3]}}


def _get_names(event: ReceivedEvent) -> Iterator[tuple[tuple[str, str], int]]:
    if event.kind == "purchases":
        for item in event["items"]:
            yield ("product", item["productId"]), item.get("quantity", 1)
    elif "entity" in event:
        yield (event["entity"]["type"], event["entity"]["id"]), 1
    elif "resolvedBidId" in event:
        yield ("bid", event["resolvedBidId"]), 1


def _describe_event(event: ReceivedEvent) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": event.kind,
        "time": event.time.isoformat(),
        "request": event.request_number,
        "sponsored": "resolvedBidId" in event,
        "event": event,
    }
    if event.kind == "purchases":
        return {**described, **_describe_purchase(event)}
    if event.kind == "pageviews":
        return {**described, "type": "page", "what": event["page"]["pageId"]}
    ((word, name), _) = next(_get_names(event))
    return {**described, "type": word, "what": name}


def _describe_purchase(event: ReceivedEvent) -> dict[str, Any]:
    items = event["items"]
    names = [f"{item.get('quantity', 1)} {item['productId']}" for item in items[:SHOWN_ITEMS]]
    if len(items) > SHOWN_ITEMS:
        names.append(f"{say_count(len(items) - SHOWN_ITEMS, 'item')} more")
    amount = sum((item["unitPrice"] * item.get("quantity", 1) for item in items), Decimal(0))
    is_plain = abs(amount.adjusted()) < PLAIN_DIGITS
    return {
        "type": "purchase",
        "what": event["id"],
        "items": ", ".join(names),
        "amount": f"{amount:f}" if is_plain else str(amount.normalize()),
    }


def _describe_request(request: ReceivedRequest) -> dict[str, Any]:
    # The Authorization header stays out of it: the page may be on a screen that others see.
    return {
        "time": request.time.isoformat(),
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "verdict": request.verdict,
        "body": request.body[:2000].decode("utf-8", "replace"),
    }
