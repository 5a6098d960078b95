"""FakeApi's rules against what Topsort documents, field by field."""

from __future__ import annotations

import copy
import http.client
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from django_topsort.testing import FakeApi
from django_topsort.testing.rules import is_rfc_3339, load_schema
from tests.testing.wire_format import (
    build_click,
    build_connection,
    build_impression,
    build_item,
    build_pageview,
    build_purchase,
    post,
)

Connection = http.client.HTTPConnection

BUILD = {
    "impressions": build_impression,
    "clicks": build_click,
    "purchases": build_purchase,
    "pageviews": build_pageview,
}
PLACEMENT = {
    "path": "/shoes",
    "position": 1,
    "page": 1,
    "pageSize": 24,
    "productId": "shoe-1",
    "categoryIds": ["shoes", "sale"],
    "searchQuery": "blue shoes",
}
PAGE = {"type": "cart", "pageId": "/cart", "value": ["shoe-1", "shoe-2"]}
ENTITY = {"type": "vendor", "id": "v-1"}
OBJECT = {"type": "banner", "assetId": "banner-1", "clickType": "like"}
INTERACTION = {
    "resolvedBidId": "b" * 239,
    "entity": ENTITY,
    "additionalAttribution": {"type": "product", "id": "shoe-1"},
    "placement": PLACEMENT,
    "page": PAGE,
    "object": OBJECT,
    "externalCampaignId": "spring",
    "externalVendorId": "acme",
    "deviceType": "mobile",
    "channel": "offsite",
}
VISIT = {"deviceType": "desktop", "channel": "instore"}
FULL = {
    "impressions": build_impression(**INTERACTION),
    "clicks": build_click(**INTERACTION, clickType="add-to-cart"),
    "purchases": build_purchase(**VISIT),
    "pageviews": build_pageview(**VISIT, page=PAGE),
}
REQUIRED = {
    "impressions": ["id", "occurredAt", "opaqueUserId"],
    "clicks": ["id", "occurredAt", "opaqueUserId"],
    "purchases": ["id", "occurredAt", "opaqueUserId", "items"],
    "pageviews": ["id", "occurredAt", "opaqueUserId", "page"],
}


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with FakeApi() as api:
        connection = build_connection(api)
        yield connection
        connection.close()


def refuse(connection: Connection, body: Any) -> dict[str, str]:
    """Post what must be refused, and return the error."""
    answer = post(connection, body)
    assert answer.status == 400, body
    return answer.error


def get_leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything inside of an event."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield (*path, key)
        yield from get_leaves(part, (*path, key))


def replace(event: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the event with another value at a path."""
    changed = copy.deepcopy(event)
    target: Any = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


ALL_PLACES = [(kind, path) for kind, event in FULL.items() for path in get_leaves(event)]
OBJECT_PLACES = [
    (kind, path)
    for kind, event in FULL.items()
    for path in [(), *get_leaves(event)]
    if path in {(), ("placement",), ("page",), ("entity",), ("object",), ("items", 0)}
    or path == ("additionalAttribution",)
]


@pytest.mark.parametrize("kind", FULL)
def test_event_with_every_field_is_taken(connection: Connection, kind: str) -> None:
    assert post(connection, {kind: [FULL[kind]]}).status == 204


@pytest.mark.parametrize("kind", BUILD)
def test_event_with_required_fields_only_is_taken(connection: Connection, kind: str) -> None:
    assert post(connection, {kind: [BUILD[kind]()]}).status == 204


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in REQUIRED.items() for field in fields]
)
def test_event_without_a_required_field_is_refused(
    connection: Connection, kind: str, field: str
) -> None:
    error = refuse(connection, {kind: [BUILD[kind](**{field: None})]})

    assert error["message"] == f"{kind}[0]: {field} is missing"


@pytest.mark.parametrize(("kind", "path"), ALL_PLACES)
@pytest.mark.parametrize("value", [None, {"a": {"b": 1}}, True])
def test_null_and_other_types_are_refused_everywhere(
    connection: Connection, kind: str, path: tuple[Any, ...], value: Any
) -> None:
    error = refuse(connection, {kind: [replace(FULL[kind], path, value)]})

    assert error["message"].startswith(f"{kind}[0]")


@pytest.mark.parametrize(("kind", "path"), OBJECT_PLACES)
@pytest.mark.parametrize("key", ["userId", "categoryId", "orderId", "", "Id"])
def test_unknown_keys_are_refused_everywhere(
    connection: Connection, kind: str, path: tuple[Any, ...], key: str
) -> None:
    error = refuse(connection, {kind: [replace(FULL[kind], (*path, key), "x")]})

    assert f"{key!r} is no key of it, allowed are " in error["message"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("purchases", "placement"),
        ("purchases", "entity"),
        ("purchases", "resolvedBidId"),
        ("purchases", "page"),
        ("pageviews", "placement"),
        ("pageviews", "entity"),
        ("pageviews", "resolvedBidId"),
        ("impressions", "clickType"),
        ("impressions", "items"),
    ],
)
def test_fields_of_other_kinds_are_refused(connection: Connection, kind: str, field: str) -> None:
    value = {**INTERACTION, "clickType": "like", "items": [build_item()]}[field]

    refuse(connection, {kind: [replace(FULL[kind], (field,), value)]})


@pytest.mark.parametrize(
    ("kind", "path", "value", "rule"),
    [
        ("impressions", ("placement", "position"), 0, "0 is not allowed, it must be 1 or more"),
        ("impressions", ("placement", "position"), -1, "it must be 1 or more"),
        ("impressions", ("placement", "position"), 1.5, "it must be a whole number"),
        ("impressions", ("placement", "position"), 1.0, "it must be a whole number"),
        ("impressions", ("placement", "position"), "1", "it must be a whole number"),
        ("impressions", ("placement", "page"), 0, "it must be 1 or more"),
        ("impressions", ("placement", "pageSize"), 0, "it must be 1 or more"),
        ("impressions", ("placement", "path"), "", "it must not be empty"),
        ("impressions", ("placement", "productId"), "", "it must not be empty"),
        ("impressions", ("placement", "searchQuery"), "", "it must not be empty"),
        ("impressions", ("placement", "categoryIds"), [], "it must hold at least one"),
        ("impressions", ("placement", "categoryIds"), [""], "it must not be empty"),
        ("impressions", ("placement", "categoryIds"), "shoes", "it must be a list"),
        ("impressions", ("placement",), {"position": 1}, "path is missing"),
        ("impressions", ("entity",), {"type": "product"}, "id is missing"),
        ("impressions", ("entity",), {"id": "shoe-1"}, "type is missing"),
        ("impressions", ("entity", "id"), "", "it must not be empty"),
        ("impressions", ("entity", "type"), "brand", "it must be one of product, vendor"),
        ("impressions", ("object", "type"), "video", "it must be one of listing, banner"),
        ("impressions", ("object",), {"assetId": "1"}, "type is missing"),
        ("clicks", ("additionalAttribution", "type"), "brand", "one of product, vendor"),
        ("clicks", ("clickType",), "add_to_cart", "one of product, like, add-to-cart"),
        ("clicks", ("object", "clickType"), "image", "one of product, like, add-to-cart"),
        ("clicks", ("resolvedBidId",), "", "it must not be empty"),
        ("clicks", ("opaqueUserId",), "", "it must not be empty"),
        ("clicks", ("id",), "", "it must not be empty"),
        ("clicks", ("id",), 7, "it must be a text"),
        ("clicks", ("deviceType",), "tablet", "one of desktop, mobile"),
        ("clicks", ("channel",), "online", "one of onsite, offsite, instore"),
        ("pageviews", ("page", "type"), "pdp", "one of home, category, PDP, search, cart, other"),
        ("pageviews", ("page",), {"type": "home"}, "pageId is missing"),
        ("pageviews", ("page",), {"pageId": "/"}, "type is missing"),
        ("pageviews", ("page", "value"), [], "it must hold at least one"),
        ("pageviews", ("page", "value"), [1], "it must be a text"),
        ("pageviews", ("page", "value"), 1, "it must be a text or a list"),
        ("pageviews", ("page", "type"), "category", 'for pages of type "cart" only'),
        ("purchases", ("items",), [], "it must hold at least one"),
        ("purchases", ("items", 0, "unitPrice"), "12.95", "it must be a number"),
        ("purchases", ("items", 0, "unitPrice"), 0, "0 is not allowed, it must be more than 0"),
        ("purchases", ("items", 0, "unitPrice"), 0.0, "it must be more than 0"),
        ("purchases", ("items", 0, "unitPrice"), -1.5, "it must be more than 0"),
        ("purchases", ("items", 0, "unitPrice"), 10**400, "it is too large for a number"),
        ("purchases", ("items", 0, "quantity"), 0, "it must be 1 or more"),
        ("purchases", ("items", 0, "quantity"), 1.5, "it must be a whole number"),
        ("purchases", ("items", 0, "quantity"), "2", "it must be a whole number"),
        ("purchases", ("items", 0, "vendorId"), "", "it must not be empty"),
        ("purchases", ("items", 0, "productId"), "", "it must not be empty"),
        ("purchases", ("items", 0), {"productId": "shoe-1"}, "unitPrice is missing"),
        ("purchases", ("items", 0), {"unitPrice": 1}, "productId is missing"),
    ],
)
def test_value_outside_of_the_rules_is_refused(
    connection: Connection, kind: str, path: tuple[Any, ...], value: Any, rule: str
) -> None:
    error = refuse(connection, {kind: [replace(FULL[kind], path, value)]})

    assert error["message"].startswith(f"{kind}[0].{path[0]}")
    assert rule in error["message"]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("impressions", ("placement",), {"path": "/"}),
        ("impressions", ("externalCampaignId",), ""),
        ("pageviews", ("page", "value"), "shoes"),
        ("pageviews", ("page",), {"type": "other", "pageId": ""}),
        ("purchases", ("items", 0), build_item()),
        ("purchases", ("items", 0), build_item(unitPrice=7, quantity=1000)),
    ],
)
def test_value_at_the_edge_of_the_rules_is_taken(
    connection: Connection, kind: str, path: tuple[Any, ...], value: Any
) -> None:
    assert post(connection, {kind: [replace(FULL[kind], path, value)]}).status == 204


@pytest.mark.parametrize("kind", ["impressions", "clicks"])
def test_interaction_needs_a_bid_or_an_entity(connection: Connection, kind: str) -> None:
    bare = BUILD[kind](resolvedBidId=None, entity=None)

    error = refuse(connection, {kind: [bare]})
    extra = refuse(
        connection, {kind: [{**bare, "entity": ENTITY, "additionalAttribution": ENTITY}]}
    )

    assert "it needs a resolvedBidId (sponsored) or an entity (organic)" in error["message"]
    assert "additionalAttribution needs a resolvedBidId in the same event" in extra["message"]
    assert post(connection, {kind: [{**bare, "entity": ENTITY}]}).status == 204
    assert post(connection, {kind: [{**bare, "resolvedBidId": "bid"}]}).status == 204


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-01T12:30:00",
        "2026-03-01T12:30:00.123456",
        "2026-03-01 12:30:00+01:00",
        "2026-03-01t12:30:00z",
        "2026-03-01T12:30:00+0100",
        "2026-03-01T12:30:00+01",
        "2026-03-01T12:30+01:00",
        "2026-03-01T12:30:00+24:00",
        "2026-03-01T24:00:00Z",
        "2026-03-01T12:30:60Z",
        "2026-02-30T12:30:00Z",
        "2026-13-01T12:30:00Z",
        "0000-01-01T00:00:00Z",
        "2026-03-01T12:30:00.Z",
        "2026-03-01T12:30:00Z\n",
        "٢٠٢٦-03-01T12:30:00Z",
        "2026-03-01",
        "1772364600",
        "",
    ],
)
@pytest.mark.parametrize("kind", BUILD)
def test_time_that_is_not_rfc_3339_with_offset_is_refused(
    connection: Connection, kind: str, time: str
) -> None:
    error = refuse(connection, {kind: [BUILD[kind](occurredAt=time)]})

    assert error["message"].startswith(f"{kind}[0].occurredAt: {time!r} is not allowed")


@pytest.mark.parametrize(
    "time",
    [
        "2009-01-01T12:59:59-05:00",
        "2026-03-01T12:30:00Z",
        "2026-03-01T12:30:00+00:00",
        "2026-03-01T12:30:00.1Z",
        "2026-03-01T12:30:00.123456789+05:45",
        "2028-02-29T23:59:59+14:00",
    ],
)
def test_time_of_rfc_3339_is_taken(connection: Connection, time: str) -> None:
    assert post(connection, {"clicks": [build_click(occurredAt=time)]}).status == 204


def test_format_of_what_is_no_text_is_left_to_its_type(connection: Connection) -> None:
    error = refuse(connection, {"clicks": [build_click(occurredAt=1772364600)]})

    assert is_rfc_3339(1772364600)
    assert error["message"] == (
        "clicks[0].occurredAt: 1772364600 is not allowed, it must be a text"
    )


@pytest.mark.parametrize("kind", BUILD)
def test_fifty_of_a_kind_are_taken_and_fifty_one_refused(connection: Connection, kind: str) -> None:
    events = [BUILD[kind](id=str(number)) for number in range(51)]

    assert post(connection, {kind: events[:50]}).status == 204
    assert refuse(connection, {kind: events})["message"] == (
        f"{kind}: 51 were sent, at most 50 of a kind are taken at once"
    )


def test_fifty_of_every_kind_are_taken_at_once(connection: Connection) -> None:
    body = {kind: [build(id=f"x{n}") for n in range(50)] for kind, build in BUILD.items()}

    assert post(connection, body).status == 204


@pytest.mark.parametrize(
    "body",
    [{}, {"clicks": []}, {"impressions": [], "clicks": [], "purchases": [], "pageviews": []}],
)
def test_request_without_events_is_refused(connection: Connection, body: dict[str, Any]) -> None:
    assert refuse(connection, body)["errCode"] == "empty_request"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the body: [] is not allowed, it must be an object"),
        (None, "the body: None is not allowed, it must be an object"),
        ({"events": []}, "the body: 'events' is no key of it"),
        ({"clicks": [], "userId": "1"}, "the body: 'userId' is no key of it"),
        ({"clicks": {}}, "clicks: {} is not allowed, it must be a list"),
        ({"clicks": None}, "clicks: None is not allowed, it must be a list"),
        ({"clicks": ["click"]}, "clicks[0]: 'click' is not allowed, it must be an object"),
    ],
)
def test_body_of_another_shape_is_refused(connection: Connection, body: Any, message: str) -> None:
    assert refuse(connection, body)["message"].startswith(message)


def test_one_wrong_event_refuses_them_all() -> None:
    body = {
        "impressions": [build_impression(id=str(number)) for number in range(50)],
        "clicks": [build_click()],
        "purchases": [build_purchase(items=[])],
    }
    with FakeApi() as api:
        connection = build_connection(api)
        error = refuse(connection, body)
        connection.close()

        assert error["message"].startswith("purchases[0].items: ")
        assert api.events == []


def test_message_shows_the_first_mistake_and_counts_the_others(connection: Connection) -> None:
    bad = build_click(id=None, opaqueUserId=None, deviceType="tv", channel="x" * 500)

    message = refuse(connection, {"clicks": [bad]})["message"]

    assert message.startswith("clicks[0]: id, opaqueUserId is missing (and 2 more)")
    long = refuse(connection, {"clicks": [build_click(channel="x" * 500)]})["message"]
    assert len(long) < 200


@pytest.mark.parametrize(
    ("items", "err_code"),
    [
        ([], "no_purchase_items"),
        ([build_item(quantity=0)], "purchase_item_quantity_less_or_equal_than_zero"),
        ([build_item(productId=None)], "missing_product_id"),
        ([build_item(unitPrice=0)], "bad_request"),
    ],
)
def test_error_code_names_what_topsort_has_a_code_for(
    connection: Connection, items: list[Any], err_code: str
) -> None:
    assert refuse(connection, {"purchases": [build_purchase(items=items)]})["errCode"] == err_code


def test_category_field_accepts_the_older_form_instead() -> None:
    older = {"path": "/shoes", "categoryId": "shoes"}
    with FakeApi(category_field="categoryId") as api:
        connection = build_connection(api)
        taken = post(connection, {"clicks": [build_click(placement=older)]})
        newer = refuse(connection, {"clicks": [build_click(placement=PLACEMENT)]})
        empty = refuse(connection, {"clicks": [build_click(placement={**older, "categoryId": ""})]})
        listed = {**older, "categoryId": ["shoes"]}
        as_list = refuse(connection, {"clicks": [build_click(placement=listed)]})
        connection.close()

    assert taken.status == 204
    assert "'categoryIds' is no key of it" in newer["message"]
    assert "it must not be empty" in empty["message"]
    assert "it must be a text" in as_list["message"]


@pytest.mark.parametrize("field", ["categoryIds", "categoryId"])
def test_schema_is_a_schema(field: str) -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema(field))
