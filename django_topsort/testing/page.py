"""The page of a FakeApi: the events as they come, the funnel, and why a request was refused."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from django_topsort.testing.answers import Answer
from django_topsort.testing.rules import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_topsort.testing.ledger import Ledger, ReceivedEvent, ReceivedRequest

SHOWN = 200
SHOWN_PRODUCTS = 500


def get_page(ledger: Ledger, method: str, path: str) -> Answer | None:
    """Return the page, its data or None, when the request is for something else.

    ``GET /`` is the page, ``GET /events.json`` its data; with ``?after=`` and the version of
    earlier data, 204 says that nothing has changed since.
    """
    url = urlsplit(path)
    if method != "GET":
        return None
    if url.path == "/":
        return build_page()
    if url.path == "/events.json":
        after = parse_qs(url.query).get("after", [""])[0]
        return ledger.read(lambda: build_data(ledger, after))  # type: ignore[no-any-return]
    return None


def build_page() -> Answer:
    """Return the page itself, which may load nothing and run no script but its own."""
    nonce = secrets.token_urlsafe(16)
    text = files("django_topsort.testing").joinpath("page.html").read_text("utf-8")
    policy = (
        f"default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; "
        f"style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Answer(
        status=200,
        body=text.replace("{{ nonce }}", nonce).encode(),
        content_type="text/html; charset=utf-8",
        headers=(("Content-Security-Policy", policy), *NEVER_STORED),
    )


NEVER_STORED = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


def build_data(ledger: Ledger, after: str = "") -> Answer:
    """Return what the page shows: totals, products, and the latest events and requests."""
    if after == str(ledger.version):
        return Answer(status=204, headers=NEVER_STORED)
    requests = list(ledger.requests)
    data = {
        "version": ledger.version,
        "totals": {kind: ledger.count(kind) for kind in KINDS},
        "requests": ledger.requests_count,
        "repeated": len(ledger.repeated),
        "products": list(_count_products(ledger.events)),
        "events": [_describe_event(event) for event in list(ledger.events)[: -SHOWN - 1 : -1]],
        "refused": [
            _describe_request(request)
            for request in requests[::-1]
            if request.status is not None and request.status >= 300
        ][:SHOWN],
        "lost": [
            _describe_request(request) for request in requests[::-1] if request.status is None
        ][:SHOWN],
    }
    return Answer(status=200, body=json.dumps(data, default=str).encode(), headers=NEVER_STORED)


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
    return {
        "kind": event.kind,
        "time": event.time.isoformat(),
        "what": ", ".join(name for (_, name), _ in _get_names(event)) or event["page"]["pageId"],
        "sponsored": "resolvedBidId" in event,
        "event": event,
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
