"""Events as JSON and a client that sends them, none of them ours."""

from __future__ import annotations

import http.client
import json
from typing import Any

from django_topsort.testing import FakeApi


class Answer:
    """What came back: status, headers, body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def error(self) -> dict[str, str]:
        """The error object of a refusal."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


def build_connection(api: FakeApi, timeout: float = 10.0) -> http.client.HTTPConnection:
    """Return a connection to the server, not opened yet."""
    return http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=timeout)


def post(
    connection: http.client.HTTPConnection,
    body: Any,
    *,
    method: str = "POST",
    path: str = "/v2/events",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send a request with good headers but for those given; None leaves one out."""
    given = {"Authorization": "Bearer TSE_tests", "Content-Type": "application/json"}
    given |= headers or {}
    sent = {name: value for name, value in given.items() if value}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, sent)
    return Answer(connection.getresponse())


EVENT = {"occurredAt": "2026-03-01T12:30:00+01:00", "opaqueUserId": "shopper-1"}


def build_impression(**facts: Any) -> dict[str, Any]:
    """Return an impression; a fact that is None is left out."""
    entity = {"type": "product", "id": "shoe-1"}
    return _build({"id": "impression-1", **EVENT, "entity": entity}, facts)


def build_click(**facts: Any) -> dict[str, Any]:
    """Return a click; a fact that is None is left out."""
    return _build({"id": "click-1", **EVENT, "resolvedBidId": "bid-1"}, facts)


def build_purchase(**facts: Any) -> dict[str, Any]:
    """Return a purchase; a fact that is None is left out."""
    items = [{"productId": "shoe-1", "unitPrice": 12.95, "quantity": 2, "vendorId": "v-1"}]
    return _build({"id": "purchase-1", **EVENT, "items": items}, facts)


def build_item(**facts: Any) -> dict[str, Any]:
    """Return an item of a purchase; a fact that is None is left out."""
    return _build({"productId": "shoe-1", "unitPrice": 12.95}, facts)


def build_pageview(**facts: Any) -> dict[str, Any]:
    """Return a page view; a fact that is None is left out."""
    page = {"type": "category", "pageId": "/shoes", "value": "shoes"}
    return _build({"id": "pageview-1", **EVENT, "page": page}, facts)


def _build(event: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**event, **facts}.items() if value is not None}
