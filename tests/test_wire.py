"""The request body: what goes out, and what is read back."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_topsort.events import (
    Click,
    Entity,
    Event,
    Impression,
    Page,
    PageType,
    PageView,
    Placement,
    Purchase,
    PurchaseItem,
)
from django_topsort.exceptions import InvalidEvent
from django_topsort.testing.rules import build_rules, parse_json
from django_topsort.wire import (
    EventsRequest,
    build_request,
    decode_event,
    decode_request,
    encode_event,
    encode_request,
)
from tests.strategies import build_full_events, events

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

# The shape of the example in the API's documentation: all four kinds, and the older categoryId.
EXAMPLE = """
{
  "impressions": [
    {
      "resolvedBidId": "ChAGaHHAn4d8uJ2pA5vXQmB0EhABk2Qn",
      "id": "impression-4711",
      "occurredAt": "2026-11-23T09:15:00-03:00",
      "opaqueUserId": "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111",
      "placement": {
        "path": "/catalogue/shoes",
        "position": 4,
        "page": 2,
        "pageSize": 20,
        "productId": "p-100",
        "categoryId": "c-shoes",
        "searchQuery": "running shoes"
      }
    }
  ],
  "clicks": [
    {
      "resolvedBidId": "ChAGaHHAn4d8uJ2pA5vXQmB0EhABk2Qn",
      "id": "click-4712",
      "occurredAt": "2026-11-23T09:15:07.250000-03:00",
      "opaqueUserId": "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111",
      "placement": {"path": "/catalogue/shoes", "position": 4, "categoryId": "c-shoes"}
    }
  ],
  "purchases": [
    {
      "id": "order-31",
      "occurredAt": "2026-11-23T12:20:00Z",
      "opaqueUserId": "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111",
      "items": [
        {"productId": "p-100", "unitPrice": 12.95, "quantity": 2},
        {"productId": "p-200", "unitPrice": 1239.5}
      ]
    },
    {
      "id": "order-32",
      "occurredAt": "2026-11-23T12:21:00+05:45",
      "opaqueUserId": "0193568c-3d1c-7b7e-9d39-4d3ea2b4a222",
      "items": [{"productId": "p-300", "unitPrice": 7, "quantity": 1, "vendorId": "v-1"}]
    }
  ],
  "pageviews": [
    {
      "id": "pageview-9",
      "occurredAt": "2026-11-23T12:00:00Z",
      "opaqueUserId": "0193568c-3d1c-7b7e-9d39-4d3ea2b4a222",
      "page": {"type": "category", "pageId": "/catalogue/shoes", "value": "c-shoes"},
      "deviceType": "mobile",
      "channel": "onsite"
    }
  ]
}
"""

validators: dict[str, Any] = {
    field: build_rules(category_field=field).validator for field in ("categoryIds", "categoryId")
}


def build_impression(**fields: Any) -> Impression:
    given = {"id": "i", "occurred_at": NOON, "opaque_user_id": "u", "resolved_bid_id": "b"}
    return Impression(**{**given, **fields})


def build_purchase(price: Any) -> Purchase:
    item = PurchaseItem(product_id="p", unit_price=price)
    return Purchase(id="i", occurred_at=NOON, opaque_user_id="u", items=[item])


def encode_placement(category_field: str, **fields: Any) -> dict[str, Any]:
    event = build_impression(placement=Placement(path="/", **fields))
    written: dict[str, Any] = json.loads(encode_event(event, category_field))["placement"]
    return written


def write(kind: str = "impressions", **fields: Any) -> str:
    """Return the JSON of a request with one event that would be good without ``fields``."""
    event: dict[str, Any] = {"id": "i", "occurredAt": "2026-11-23T12:00:00Z", "opaqueUserId": "u"}
    if kind in ("impressions", "clicks"):
        event["resolvedBidId"] = "b"
    elif kind == "purchases":
        event["items"] = [{"productId": "p", "unitPrice": 1}]
    else:
        event["page"] = {"type": "home", "pageId": "/"}
    return json.dumps({kind: [{**event, **fields}]})


# The example


def test_example_of_the_documentation_is_understood() -> None:
    request = decode_request(EXAMPLE)
    (impression,), (click,), purchases, (pageview,) = (
        request.impressions,
        request.clicks,
        request.purchases,
        request.pageviews,
    )

    assert impression == Impression(
        resolved_bid_id="ChAGaHHAn4d8uJ2pA5vXQmB0EhABk2Qn",
        id="impression-4711",
        occurred_at=datetime(2026, 11, 23, 9, 15, tzinfo=timezone(timedelta(hours=-3))),
        opaque_user_id="0193568c-3d1c-7b7e-9d39-4d3ea2b4a111",
        placement=Placement(
            path="/catalogue/shoes",
            position=4,
            page=2,
            page_size=20,
            product_id="p-100",
            category_ids="c-shoes",
            search_query="running shoes",
        ),
    )
    assert click.placement == Placement(
        path="/catalogue/shoes", position=4, category_ids=["c-shoes"]
    )
    assert [purchase.id for purchase in purchases] == ["order-31", "order-32"]
    assert purchases[0].items == (
        PurchaseItem(product_id="p-100", unit_price=Decimal("12.95"), quantity=2),
        PurchaseItem(product_id="p-200", unit_price=Decimal("1239.5")),
    )
    assert pageview.page == Page(type="category", page_id="/catalogue/shoes", value="c-shoes")
    assert (pageview.device_type, pageview.channel) == ("mobile", "onsite")
    assert len(request) == 5


@pytest.mark.parametrize("body", [EXAMPLE, EXAMPLE.encode(), bytearray(EXAMPLE.encode())])
def test_example_of_the_documentation_is_produced_again_value_for_value(body: Any) -> None:
    produced = encode_request(decode_request(body), "categoryId")

    assert parse_json(produced) == parse_json(EXAMPLE.encode())


def test_example_of_the_documentation_goes_out_with_category_ids_by_default() -> None:
    expected = parse_json(
        EXAMPLE.replace('"categoryId": "c-shoes"', '"categoryIds": ["c-shoes"]').encode()
    )
    produced = encode_request(decode_request(EXAMPLE))

    assert parse_json(produced) == expected
    validators["categoryIds"].validate(parse_json(produced))
    assert decode_request(produced) == decode_request(EXAMPLE)


# What goes out


@pytest.mark.parametrize("category_field", ["categoryIds", "categoryId"])
def test_events_with_every_field_hold_to_the_schema(category_field: str) -> None:
    body = encode_request(build_request(build_full_events()), category_field)

    validators[category_field].validate(parse_json(body))


@pytest.mark.parametrize("category_field", ["categoryIds", "categoryId"])
@given(some=st.lists(events, min_size=1, max_size=5))
def test_any_events_hold_to_the_schema(category_field: str, some: list[Event]) -> None:
    body = encode_request(build_request(some), category_field)

    validators[category_field].validate(parse_json(body))
    assert b"null" not in body or any("null" in repr(event) for event in some)


def test_schema_would_notice_a_fault() -> None:
    sent = parse_json(encode_request(build_request(build_full_events())))
    sent["clicks"][0]["placement"]["position"] = 0

    with pytest.raises(jsonschema.ValidationError):
        validators["categoryIds"].validate(sent)


def test_event_with_every_field_goes_out_as_topsort_spells_it() -> None:
    _, click, purchase, pageview = build_full_events()

    assert parse_json(encode_event(click)) == {
        "id": "click-1",
        "occurredAt": "2026-11-23T12:30:15.250000+01:00",
        "opaqueUserId": "shopper-1",
        "resolvedBidId": "bid-1",
        "entity": {"id": "shoe-1", "type": "product"},
        "additionalAttribution": {"id": "vendor-1", "type": "vendor"},
        "placement": {
            "path": "/shoes/carousel",
            "position": 3,
            "page": 2,
            "pageSize": 24,
            "productId": "shoe-2",
            "categoryIds": ["shoes", "running"],
            "searchQuery": "größe 44",
        },
        "page": {"type": "cart", "pageId": "/cart", "value": ["shoe-1", "shoe-2"]},
        "object": {"type": "banner", "assetId": "asset-1", "clickType": "like"},
        "clickType": "add-to-cart",
        "externalCampaignId": "campaign-1",
        "externalVendorId": "vendor-9",
        "deviceType": "mobile",
        "channel": "instore",
    }
    assert parse_json(encode_event(purchase))["items"] == [
        {
            "productId": "shoe-1",
            "unitPrice": Decimal("12.95"),
            "quantity": 2,
            "vendorId": "vendor-1",
        }
    ]
    assert parse_json(encode_event(pageview))["page"] == {
        "type": "PDP",
        "pageId": "/shoes/1",
        "value": "shoe-1",
    }


@pytest.mark.parametrize("category_field", ["categoryIds", "categoryId"])
def test_absent_fields_are_left_out(category_field: str) -> None:
    given: dict[str, Any] = {"id": "i", "occurred_at": NOON, "opaque_user_id": "u"}
    written = {"id": "i", "occurredAt": "2026-11-23T12:00:00Z", "opaqueUserId": "u"}
    some: list[tuple[Event, dict[str, Any]]] = [
        (Impression(**given, resolved_bid_id="b"), {"resolvedBidId": "b"}),
        (
            Click(**given, entity=Entity(id="p", type="vendor"), placement=Placement(path="/")),
            {"entity": {"id": "p", "type": "vendor"}, "placement": {"path": "/"}},
        ),
        (
            Purchase(**given, items=[PurchaseItem(product_id="p", unit_price=Decimal(3))]),
            {"items": [{"productId": "p", "unitPrice": 3}]},
        ),
        (
            PageView(**given, page=Page(type="home", page_id="/")),
            {"page": {"type": "home", "pageId": "/"}},
        ),
    ]
    for event, own in some:
        assert json.loads(encode_event(event, category_field)) == {**written, **own}


def test_kinds_without_events_are_left_out() -> None:
    assert json.loads(encode_request(build_request([build_impression()]))).keys() == {"impressions"}
    assert encode_request(EventsRequest()) == b"{}"


@pytest.mark.parametrize(
    "categories", ["shoes", ["shoes"], ("shoes", "running"), {"shoes": 1}.keys()]
)
def test_categories_go_out_as_a_list_or_as_the_first(categories: Any) -> None:
    expected = [categories] if isinstance(categories, str) else list(categories)

    written = encode_placement("categoryIds", category_ids=categories)
    assert written == {"path": "/", "categoryIds": expected}

    written = encode_placement("categoryId", category_ids=categories)
    assert written == {"path": "/", "categoryId": "shoes"}


@pytest.mark.parametrize("category_field", ["categoryIds", "categoryId"])
@pytest.mark.parametrize(
    ("price", "written"),
    [
        (12.95, "12.95"),
        (Decimal("12.95"), "12.95"),
        (Decimal("12.90"), "12.90"),
        (Decimal("1E+2"), "1E+2"),
        (Decimal("1E-7"), "1E-7"),
        (0.1 + 0.2, "0.3"),
        (19.99 * 3, "59.97"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1"),
        (1e-7, "1E-7"),
        (5, "5"),
        (Decimal("999999999999.999999999999"), "999999999999.999999999999"),
        (123456789012.12, "123456789012.12"),
    ],
)
def test_price_goes_out_as_a_number_without_noise(
    price: Any, written: str, category_field: str
) -> None:
    body = encode_event(build_purchase(price), category_field)

    assert f'"unitPrice":{written}'.encode() + b"}" in body
    (item,) = json.loads(body)["items"]
    assert isinstance(item["unitPrice"], int | float)
    assert item["unitPrice"] == float(written)


@given(price=st.decimals(Decimal("1E-12"), Decimal(10**12 - 1), allow_nan=False))
def test_any_price_goes_out_within_half_a_millionth_of_a_millionth(price: Decimal) -> None:
    (item,) = parse_json(encode_event(build_purchase(price)))["items"]

    assert abs(Decimal(item["unitPrice"]) - price) <= Decimal("5E-13")


@given(price=st.floats(min_value=0.005, max_value=1e9).map(lambda price: round(price, 2)))
def test_any_float_of_cents_goes_out_with_its_cents(price: float) -> None:
    (item,) = parse_json(encode_event(build_purchase(price or 0.01)))["items"]

    assert Decimal(item["unitPrice"]) == Decimal(f"{price or 0.01:.2f}")


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (NOON, "2026-11-23T12:00:00Z"),
        (NOON.replace(microsecond=7), "2026-11-23T12:00:00.000007Z"),
        (
            NOON.astimezone(timezone(timedelta(hours=5, minutes=45))),
            "2026-11-23T17:45:00+05:45",
        ),
        (NOON.astimezone(timezone(-timedelta(minutes=30))), "2026-11-23T11:30:00-00:30"),
        (datetime(2026, 7, 1, 12), "2026-07-01T12:00:00+02:00"),  # noqa: DTZ001
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
        (datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_time_goes_out_with_its_offset(moment: datetime, written: str) -> None:
    event = build_impression(occurred_at=moment)

    assert json.loads(encode_event(event))["occurredAt"] == written
    assert json.loads(encode_event(event, "categoryId"))["occurredAt"] == written


@pytest.mark.parametrize(
    "text", ["\0", "\x1f", '"', "\\", "</script>", "日本", "\U0001f45f", "\u2028"]
)
def test_text_goes_out_whole(text: str) -> None:
    assert json.loads(encode_event(build_impression(id=text)))["id"] == text


def test_event_goes_out_the_same_at_each_attempt() -> None:
    for event in (*build_full_events(), build_impression()):
        assert encode_event(event) == encode_event(event)


# Requests


def test_request_has_events_by_kind_in_their_order() -> None:
    impression, click, purchase, pageview = build_full_events()
    other = build_impression(id="other")
    request = build_request([pageview, other, click, impression, purchase])

    assert request.impressions == (other, impression)
    assert list(request) == [other, impression, click, purchase, pageview]
    assert len(request) == 5


def test_request_without_events_is_empty() -> None:
    assert not build_request([])
    assert list(EventsRequest()) == []


def test_request_cannot_be_changed() -> None:
    given = [build_impression()]
    request = EventsRequest(impressions=given)  # type: ignore[arg-type]
    given.clear()

    assert request.impressions == (build_impression(),)
    with pytest.raises(AttributeError):
        request.impressions = ()  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["impressions", "clicks", "purchases", "pageviews"])
@pytest.mark.parametrize("value", [None, "x", b"", 1, {}, iter(())], ids=lambda v: type(v).__name__)
def test_request_without_a_list_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(InvalidEvent, match=f"{kind}: .* it must be a list of "):
        EventsRequest(**{kind: value})


@pytest.mark.parametrize("kind", ["impressions", "clicks", "purchases", "pageviews"])
def test_request_with_events_of_another_kind_is_refused(kind: str) -> None:
    own: dict[str, Any] = {event.kind: event for event in build_full_events()}
    build: Any = EventsRequest
    others: list[Any] = [None, {}, *(event for name, event in own.items() if name != kind)]
    for other in others:
        with pytest.raises(InvalidEvent, match=f"{kind}: .* it must be an instance of "):
            build(**{kind: [own[kind], other]})


def test_request_with_an_unknown_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="Unexpected keyword argument 'likes'"):
        EventsRequest(likes=[])  # type: ignore[call-arg]


# What is read back


@pytest.mark.parametrize("as_text", [True, False])
@given(some=st.lists(events, max_size=5))
def test_any_events_are_read_back_equal(as_text: bool, some: list[Event]) -> None:
    request = build_request(some)
    body = encode_request(request)

    assert decode_request(body.decode() if as_text else body) == request


@given(some=st.lists(events, max_size=5))
def test_events_of_one_category_are_read_back_equal_from_the_older_form(some: list[Event]) -> None:
    # The older form has room for one.
    request = build_request(keep_one_category(event) for event in some)

    assert decode_request(encode_request(request, "categoryId")) == request


def keep_one_category(event: Event) -> Event:
    if isinstance(event, Impression | Click) and event.placement and event.placement.category_ids:
        first = event.placement.category_ids[0]
        placement = msgspec.structs.replace(event.placement, category_ids=first)
        return msgspec.structs.replace(event, placement=placement)
    return event


@pytest.mark.parametrize("event", build_full_events(), ids=lambda event: event.kind)
def test_what_is_read_is_plain(event: Event) -> None:
    (read,) = decode_request(encode_request(build_request([event])))

    assert read == event
    assert type(read) is type(event)
    assert type(read.occurred_at) is datetime


@pytest.mark.parametrize("price", ["12.95", '"12.95"', "1.295E+1"])
def test_price_is_read_exactly(price: str) -> None:
    body = write("purchases", items=[{"productId": "p", "unitPrice": 0}]).replace(
        '"unitPrice": 0', f'"unitPrice": {price}'
    )
    older = body.replace("]}]}", ']}], "impressions": [' + write_older() + "]}")

    for request in (decode_request(body), decode_request(older)):
        assert request.purchases[0].items[0].unit_price == Decimal("12.95")


def write_older() -> str:
    (event,) = json.loads(write(placement={"path": "/", "categoryId": "c"}))["impressions"]
    return json.dumps(event)


def test_null_is_read_as_absent() -> None:
    (event,) = decode_request(write(entity=None, placement={"path": "/", "position": None}))

    assert isinstance(event, Impression)
    assert event.placement == Placement(path="/")


def test_event_without_id_and_time_gets_them() -> None:
    body = '{"impressions": [{"opaqueUserId": "u", "resolvedBidId": "b"}]}'
    ((first,), (second,)) = decode_request(body), decode_request(body)

    assert first.id != second.id
    assert first.occurred_at <= second.occurred_at


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (write(placement={"path": "/", "position": 0}), "placement.position: 0 is not allowed"),
        (write(placement={"path": ""}), "placement.path: '' is not allowed"),
        (write(placement={"path": "/", "categoryIds": []}), "placement.category_ids: [] is not"),
        (write(placement={"path": "/", "categoryId": ""}), "placement.category_ids: '' is not"),
        (write(opaqueUserId=""), "opaque_user_id: '' is not allowed"),
        (write(resolvedBidId=None), "resolved_bid_id: None is not allowed"),
        (write("purchases", items=[]), "items: [] is not allowed"),
        (
            write("purchases", items=[{"productId": "p", "unitPrice": 0}]),
            "items.unit_price: Decimal('0') is not allowed",
        ),
        (
            write("purchases", items=[{"productId": "p", "unitPrice": -1.5}]),
            "items.unit_price: Decimal('-1.5') is not allowed",
        ),
        (
            write("purchases", items=[{"productId": "p", "unitPrice": 1e300}]),
            "items.unit_price: Decimal('1E+300') is not allowed",
        ),
        (
            write("purchases", items=[{"productId": "p", "unitPrice": "NaN"}]),
            "items.unit_price: Decimal('NaN') is not allowed",
        ),
        (
            write("pageviews", page={"type": "home", "pageId": "/", "value": ["a"]}),
            "page.value: ['a'] is not allowed",
        ),
    ],
)
def test_wrong_value_is_refused_with_its_field(body: str, message: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_request(body)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (write(colour="red"), "unknown field `colour` - at `$.impressions[0]`"),
        (write(userId="u"), "unknown field `userId`"),
        (write(placement={"path": "/", "extra": 1}), "`extra` - at `$.impressions[0].placement`"),
        (
            write(placement={"path": "/", "categoryId": "a", "categoryIds": ["b"]}),
            "unknown field `categoryId` - at `$.impressions[0].placement`",
        ),
        (write("purchases", placement={"path": "/"}), "unknown field `placement`"),
        (write("pageviews", entity={"id": "p", "type": "product"}), "unknown field `entity`"),
        (write(clickType="product"), "unknown field `clickType`"),
        (write(deviceType="tablet"), "`$.impressions[0].deviceType`"),
        (write(channel="tv"), "`$.impressions[0].channel`"),
        (write("clicks", clickType="add_to_cart"), "`$.clicks[0].clickType`"),
        (write(entity={"id": "p", "type": "brand"}), "`$.impressions[0].entity.type`"),
        (write(placement={"path": "/", "position": 1.5}), "`$.impressions[0].placement.position`"),
        (write(placement={"path": "/", "position": "1"}), "`$.impressions[0].placement.position`"),
        (write(placement={"path": "/", "position": True}), "`$.impressions[0].placement.position`"),
        (write(placement={"path": "/", "categoryId": 1}), "`$.impressions[0].placement."),
        (write(placement=[]), "`$.impressions[0].placement`"),
        (write(placement={}), "missing required field `path`"),
        (write(occurredAt="2026-11-23T12:00:00"), "`$.impressions[0].occurredAt`"),
        (write(occurredAt="yesterday"), "`$.impressions[0].occurredAt`"),
        (write(occurredAt=1_750_000_000), "`$.impressions[0].occurredAt`"),
        (write("purchases", items=[{"productId": "p"}]), "missing required field `unitPrice`"),
        (
            write("purchases", items=[{"productId": "p", "unitPrice": True}]),
            "`$.purchases[0].items[0].unitPrice`",
        ),
        (write("purchases", items={"productId": "p"}), "`$.purchases[0].items`"),
        ('{"impressions": [{"id": "i"}]}', "missing required field `opaqueUserId`"),
        ('{"impressions": null}', "`$.impressions`"),
        ('{"impressions": {}}', "`$.impressions`"),
        ('{"impressions": [null]}', "`$.impressions[0]`"),
        ('{"impressions": ["x"], "clicks": [{"placement": 1}]}', "`$.impressions[0]`"),
        ('{"likes": []}', "unknown field `likes`"),
        ("[]", "got `array`"),
        ("null", "got `null`"),
        ("1", "got `int`"),
        ("", "truncated"),
        ("{", "truncated"),
        ("{}{}", "trailing"),
        (write("purchases", items=[math.nan]), "malformed"),
        ('{"impressions": [{"id": "\\ud800"}]}', ""),
        ("\ud800", "surrogates not allowed"),
        (b"\xff", ""),
        (b'{"impressions": [{"id": "\xff"}]}', "can't decode"),
        ("[" * 100_000, "recursion"),
        ('{"impressions":' * 100_000, "recursion"),
    ],
    ids=lambda case: f"{case!r:.40}",
)
def test_what_is_no_request_is_refused_with_the_place(body: str | bytes, place: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_request(body)

    assert caught.value.field == "body"
    assert "it must be an events request" in caught.value.rule
    assert place in caught.value.rule


def read(body: bytes | str) -> EventsRequest | InvalidEvent:
    try:
        return decode_request(body)
    except InvalidEvent as error:
        return error


@given(body=st.binary(max_size=100) | st.text(max_size=100))
def test_any_bytes_are_read_or_refused(body: bytes | str) -> None:
    outcome = read(body)

    assert outcome.field == "body" if isinstance(outcome, InvalidEvent) else not outcome


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@example(kind="clicks", name="id", value="c-1")  # of what is drawn, hardly anything is read
@given(
    kind=st.sampled_from(["impressions", "clicks", "purchases", "pageviews"]),
    name=st.sampled_from(
        [
            "id",
            "occurredAt",
            "opaqueUserId",
            "resolvedBidId",
            "placement",
            "entity",
            "items",
            "page",
        ]
    ),
    value=json_values,
)
def test_any_value_of_a_field_is_read_or_refused(kind: str, name: str, value: Any) -> None:
    outcome = read(write(kind, **{name: value}))

    if isinstance(outcome, InvalidEvent):
        assert "it must " in str(outcome)
    else:
        assert len(outcome) == 1
        assert read(encode_request(outcome)) == outcome


def test_page_types_are_those_of_the_schema() -> None:
    schema = validators["categoryIds"].schema
    page = schema["properties"]["pageviews"]["items"]["properties"]["page"]

    assert list(get_args(PageType)) == page["properties"]["type"]["enum"]


@given(some=events)
def test_one_event_is_read_back_equal(some: Event) -> None:
    assert decode_event(some.kind, encode_event(some)) == some


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"id": "", "opaqueUserId": "u", "resolvedBidId": "b"}', "id"),
        ('{"id": "1", "opaqueUserId": "u", "resolvedBidId": "b", "new": 1}', "event"),
        ('{"id": "1"}', "event"),
        ("[]", "event"),
        ("", "event"),
    ],
)
def test_what_is_no_event_is_refused(text: str, field: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_event("impressions", text)

    assert caught.value.field == field
