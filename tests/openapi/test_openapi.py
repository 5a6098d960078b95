"""What we send, against Topsort's own OpenAPI file.

The file is not part of this project: TOPSORT_OPENAPI_FILE names a copy of it.
"""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.client import TopsortClient
from django_topsort.events import (
    Click,
    Entity,
    Event,
    Impression,
    InteractionObject,
    Page,
    PageView,
    Placement,
    Purchase,
    PurchaseItem,
)
from django_topsort.fields import (
    CHANNELS,
    CLICK_TYPES,
    DEVICE_TYPES,
    ENTITY_TYPES,
    OBJECT_TYPES,
    PAGE_TYPES,
)
from django_topsort.wire import build_request, encode_request

OPENAPI_FILE = os.environ.get("TOPSORT_OPENAPI_FILE", "")

pytestmark = pytest.mark.skipif(not OPENAPI_FILE, reason="TOPSORT_OPENAPI_FILE is not set")

COMPONENTS = {
    "Click": Click,
    "EventEntity": Entity,
    "Impression": Impression,
    "InteractionObject": InteractionObject,
    "Page": Page,
    "PageView": PageView,
    "Placement": Placement,
    "Purchase": Purchase,
    "PurchaseItem": PurchaseItem,
}

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=20
).filter(lambda text: text == text.strip())
counts = st.integers(min_value=1, max_value=2**31 - 1)
times = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


entities = st.builds(Entity, id=texts, type=st.sampled_from(ENTITY_TYPES))
placements = st.builds(
    Placement,
    path=texts.map("/{}".format),
    position=maybe(counts),
    page=maybe(counts),
    page_size=maybe(counts),
    product_id=maybe(texts),
    category_ids=maybe(texts | st.lists(texts, min_size=1, max_size=3)),
    search_query=maybe(texts),
)
pages = st.builds(Page, type=st.sampled_from(PAGE_TYPES), page_id=texts, value=maybe(texts))
carts = st.builds(
    Page, type=st.just("cart"), page_id=texts, value=st.lists(texts, min_size=1, max_size=3)
)
objects = st.builds(
    InteractionObject,
    type=st.sampled_from(OBJECT_TYPES),
    asset_id=maybe(texts),
    click_type=maybe(st.sampled_from(CLICK_TYPES)),
)
items = st.builds(
    PurchaseItem,
    product_id=texts,
    unit_price=st.decimals(Decimal("0.01"), Decimal(10**9), places=2),
    quantity=maybe(counts),
    vendor_id=maybe(texts),
)
shared = {
    "opaque_user_id": texts,
    "occurred_at": times,
    "device_type": maybe(st.sampled_from(DEVICE_TYPES)),
    "channel": maybe(st.sampled_from(CHANNELS)),
}
interaction = {
    **shared,
    "placement": maybe(placements),
    "page": maybe(pages | carts),
    "object": maybe(objects),
    "external_campaign_id": maybe(texts),
    "external_vendor_id": maybe(texts),
}
sponsored = {
    **interaction,
    "resolved_bid_id": texts,
    "entity": maybe(entities),
    "additional_attribution": maybe(entities),
}
organic = {**interaction, "entity": entities}
click_types = {"click_type": maybe(st.sampled_from(CLICK_TYPES))}
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Impression, **sponsored),
    st.builds(Impression, **organic),
    st.builds(Click, **sponsored, **click_types),
    st.builds(Click, **organic),
    st.builds(Purchase, **shared, items=st.lists(items, min_size=1, max_size=3)),
    st.builds(PageView, **shared, page=pages | carts),
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(OPENAPI_FILE).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def validator(document: dict[str, Any]) -> jsonschema.Draft202012Validator:
    operation = document["paths"]["/v2/events"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator(
        {**document, **schema}, format_checker=jsonschema.FormatChecker()
    )


class ForeignServer(http.server.ThreadingHTTPServer):
    """Keeps what it gets, and knows nothing of us."""

    daemon_threads = True
    requests: list[tuple[str, dict[str, str], bytes]]


class Handler(http.server.BaseHTTPRequestHandler):
    server: ForeignServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[ForeignServer]:
    with ForeignServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def build_full_events() -> list[Event]:
    """Return one event of each kind that has every field."""
    placement = Placement(
        path="/catégorie/schuhe",
        position=3,
        page=2,
        page_size=24,
        product_id="p-1",
        category_ids=["shoes", "running"],
        search_query="laufschuhe größe 44",
    )
    both: dict[str, Any] = {
        "opaque_user_id": "u-1",
        "occurred_at": datetime(2026, 11, 23, 12, 30, 15, 250_000, UTC),
        "resolved_bid_id": "bid-1",
        "entity": Entity(id="p-1", type="product"),
        "additional_attribution": Entity(id="v-1", type="vendor"),
        "placement": placement,
        "page": Page(type="cart", page_id="/cart", value=["p-1", "p-2"]),
        "object": InteractionObject(type="banner", asset_id="a-1", click_type="like"),
        "external_campaign_id": "c-1",
        "external_vendor_id": "v-9",
        "device_type": "mobile",
        "channel": "instore",
    }
    own = {key: both[key] for key in ("opaque_user_id", "occurred_at", "device_type", "channel")}
    item = PurchaseItem(product_id="p-1", unit_price=Decimal("12.95"), quantity=2, vendor_id="v-1")
    return [
        Impression(**both),
        Click(**both, click_type="add-to-cart"),
        Purchase(**own, items=(item,)),
        PageView(**own, page=Page(type="PDP", page_id="/p/1", value="p-1")),
    ]


@pytest.mark.parametrize("name", COMPONENTS)
def test_events_have_every_field_of_the_schema_and_none_besides(
    name: str, document: dict[str, Any]
) -> None:
    theirs = set(document["components"]["schemas"][name]["properties"])

    assert set(COMPONENTS[name].__struct_encode_fields__) == theirs


def test_bodies_with_every_field_are_valid_where_they_arrive(
    server: ForeignServer, validator: jsonschema.Draft202012Validator, document: dict[str, Any]
) -> None:
    client = TopsortClient(f"http://127.0.0.1:{server.server_port}", "TSE_openapi", (3, 3))
    client.post_events(encode_request(build_request(build_full_events())))
    client.close()

    ((path, headers, body),) = server.requests
    sent = json.loads(body)
    validator.validate(sent)

    assert path == "/v2/events"
    assert headers["Authorization"] == "Bearer TSE_openapi"
    assert headers["Content-Type"] == "application/json"
    schemas = document["components"]["schemas"]
    names = {"impressions": "Impression", "clicks": "Click", "purchases": "Purchase"}
    for kind, name in {**names, "pageviews": "PageView"}.items():
        assert set(sent[kind][0]) == set(schemas[name]["properties"])
    assert set(sent["clicks"][0]["placement"]) == set(schemas["Placement"]["properties"])
    assert set(sent["purchases"][0]["items"][0]) == set(schemas["PurchaseItem"]["properties"])


@given(some=st.lists(events, min_size=1, max_size=5))
def test_bodies_of_any_events_are_valid(
    some: list[Event], validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate(json.loads(encode_request(build_request(some))))


def test_validator_refuses_what_is_wrong(validator: jsonschema.Draft202012Validator) -> None:
    sent = json.loads(encode_request(build_request(build_full_events())))
    sent["clicks"][0]["placement"]["position"] = 0

    with pytest.raises(jsonschema.ValidationError, match="0 is less than the minimum"):
        validator.validate(sent)
