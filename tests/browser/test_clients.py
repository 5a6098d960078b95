"""What Topsort's own clients send, by their sources: analytics.js 2.9 and @topsort/sdk 0.3 and 0.4.

Both post JSON without a CSRF token and with a key that is none, one event in a request; what is
undefined in JavaScript is absent, and what is null stays null.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client, override_settings

from django_topsort.backends.locmem import outbox
from django_topsort.events import Click, Impression, PageView, Purchase
from tests.browser.sending import FIREFOX, URL, say_now

ALL_KINDS = ["impressions", "clicks", "purchases", "pageviews"]
UUID = "0c5f1a5e-91b2-4f0e-9d8e-2f6c3b1f4a77"
SHOPPER = "5b8f0d9e-7f1e-4f6e-8c43-0d6d1b6e6a10"


@pytest.fixture
def client() -> Client:
    headers = {
        "user-agent": FIREFOX,
        "authorization": "Bearer unused",
        "accept": "application/json",
        "origin": "http://testserver",
        "sec-fetch-site": "same-origin",
        "referer": "http://testserver/shop/boots?q=mail@shop.example",
        "cookie": f"tsuid={SHOPPER}",
    }
    return Client(enforce_csrf_checks=True, headers=headers)


def send(client: Client, agent: str = "@topsort/sdk 0.3.8 ts.js/2.9.0", **kinds: Any) -> Any:
    return client.post(
        URL, json.dumps(kinds), content_type="application/json", headers={"x-ua": agent}
    )


def build_script_event(**fields: Any) -> dict[str, Any]:
    """Return what analytics.js makes of an element."""
    return {
        "placement": {"path": "/shop/boots?q=mail@shop.example"},
        "occurredAt": say_now(),
        "opaqueUserId": "an older cookie's",
        "id": UUID,
        **fields,
    }


def test_script_reports_an_organic_product(client: Client) -> None:
    event = build_script_event(entity={"type": "product", "id": "boot-1"})
    assert send(client, impressions=[event]).status_code == 204

    (seen,) = outbox
    assert isinstance(seen, Impression)
    assert seen.entity is not None
    assert seen.placement is not None
    assert (seen.entity.id, seen.placement.path) == ("boot-1", "/shop/boots")
    assert (seen.id, seen.opaque_user_id) == (UUID, SHOPPER)


def test_script_reports_a_sponsored_product_with_its_entity(client: Client) -> None:
    event = build_script_event(resolvedBidId="WyJiIiwi", entity={"type": "product", "id": "boot-1"})
    assert send(client, clicks=[event]).status_code == 204

    (click,) = outbox
    assert isinstance(click, Click)
    assert (click.resolved_bid_id, click.entity) == ("WyJiIiwi", None)


@pytest.mark.parametrize("bid", ["WyJiIiwi", None])
def test_script_inherits_a_banners_bid_or_finds_none(client: Client, bid: str | None) -> None:
    event = build_script_event(additionalAttribution={"type": "product", "id": "boot-1"})
    if bid:
        event["resolvedBidId"] = bid
    assert send(client, clicks=[event]).status_code == 204

    (click,) = outbox
    assert isinstance(click, Click)
    attributed = click.additional_attribution if bid else click.entity
    assert attributed is not None
    assert attributed.id == "boot-1"


def test_script_takes_the_hash_of_a_router_for_the_path(client: Client) -> None:
    event = build_script_event(
        entity={"type": "product", "id": "boot-1"}, placement={"path": "#/boots?page=2"}
    )
    assert send(client, impressions=[event]).status_code == 204

    (seen,) = outbox
    assert isinstance(seen, Impression)
    assert seen.placement is not None
    assert seen.placement.path == "#/boots"


def test_script_has_a_random_number_for_an_id_in_old_browsers(client: Client) -> None:
    event = build_script_event(entity={"type": "product", "id": "b"}, id="0.7310585786300049")
    for _ in range(2):
        assert send(client, impressions=[event]).status_code == 204

    assert len({one.id for one in outbox}) == 1
    assert outbox[0].id != "0.7310585786300049"


def test_script_reports_an_action_that_is_none_as_an_impression_of_nothing(client: Client) -> None:
    response = send(client, impressions=[build_script_event()])

    assert response.status_code == 400
    assert "resolvedBidId" in response.json()["errors"][0]["message"]


@override_settings(TOPSORT_BROWSER_EVENTS=ALL_KINDS)
def test_script_reports_a_purchase_again_when_the_page_is_loaded_again(client: Client) -> None:
    # Of data-ts-items it reads product, quantity and price, and of no other name anything.
    items = [{"productId": "boot-1", "quantity": "2", "unitPrice": "129.90"}]
    for number in range(2):
        event = {"occurredAt": say_now(), "opaqueUserId": "x", "items": items}
        event["id"] = f"{UUID[:-1]}{number}"
        assert send(client, purchases=[event]).status_code == 204

    first, second = outbox
    assert isinstance(first, Purchase)
    assert str(first.items[0].unit_price) == "129.90"
    assert first.items[0].quantity == 2
    assert first.id == second.id


@override_settings(TOPSORT_BROWSER_EVENTS=ALL_KINDS)
def test_script_that_follows_its_readme_sends_items_without_a_product(client: Client) -> None:
    event = {"occurredAt": say_now(), "opaqueUserId": "x", "id": UUID}
    response = send(client, purchases=[{**event, "items": [{"quantity": 1, "unitPrice": 10}]}])

    assert response.status_code == 400
    assert response.json()["errCode"] == "missing_product_id"


def test_script_reports_no_purchase_where_orders_do(client: Client) -> None:
    event = {"occurredAt": say_now(), "opaqueUserId": "x", "id": UUID, "items": []}
    response = send(client, purchases=[event])

    assert response.json()["errors"][0]["errCode"] == "invalid_event_type"


def test_sdk_reports_what_its_types_allow(client: Client) -> None:
    shared = {
        "id": "my-id-1",
        "occurredAt": say_now(),
        "opaqueUserId": "u",
        "channel": "offsite",
        "deviceType": "mobile",
    }
    placement = {
        "path": "https://shop.example/boots?page=2",
        "position": 1,
        "page": 2,
        "pageSize": 15,
        "categoryIds": ["boots"],
        "searchQuery": "boots",
        "slot": "left",
    }
    interaction = {**shared, "placement": placement, "externalVendorId": "v-1"}
    organic = {
        **interaction,
        "entity": {"id": "boot-1", "type": "product"},
        "object": {"type": "listing", "clickType": "purchase_now"},
    }
    response = send(
        client,
        "@topsort/sdk 0.4.1",
        impressions=[{**interaction, "resolvedBidId": "WyJi", "additionalAttribution": None}],
        clicks=[organic, {**interaction, "resolvedBidId": "WyJi", "clickType": "add_to_cart"}],
        pageviews=[
            {**shared, "page": {"type": "PDP", "pageId": "/boot-1", "value": "boot-1"}},
            {**shared, "page": {"type": "cart", "pageId": "/cart", "value": ["boot-1"]}},
        ],
    )

    assert response.status_code == 204
    impression, like, click, page, cart = outbox
    assert isinstance(impression, Impression)
    assert impression.placement is not None
    assert (impression.placement.path, impression.placement.page_size) == ("/boots", 15)
    assert isinstance(like, Click)
    assert like.object is not None
    assert like.object.click_type is None
    assert isinstance(click, Click)
    assert click.click_type == "add-to-cart"
    assert isinstance(page, PageView)
    assert isinstance(cart, PageView)
    assert cart.page.value == ("boot-1",)
    assert {event.channel for event in outbox} == {"onsite"}
    assert {event.device_type for event in outbox} == {"mobile"}


def test_sdk_reads_what_went_wrong_and_whether_to_try_again(client: Client) -> None:
    # It parses the body of any answer but a 204, and takes what is none for a failure for good.
    assert send(client, "@topsort/sdk 0.4.1", clicks=[{}]).json()["errCode"] == "bad_request"
    with override_settings(TOPSORT_EVENTS_THROTTLE_RATE="1/day"):
        send(client, clicks=[{}])
        again = send(client, clicks=[{}])
    assert (again.status_code, again.json()["errCode"]) == (429, "rate_limited")
