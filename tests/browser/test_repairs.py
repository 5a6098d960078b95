"""What clients get wrong, and is understood all the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings

from django_topsort.backends.locmem import outbox
from django_topsort.browser.intake import Intake, take_events
from django_topsort.events import Click, Entity, Impression, PageView, Placement, Purchase
from tests.browser.sending import (
    build_impression,
    build_purchase,
    build_request,
    build_sponsored,
    encode,
)

all_kinds = override_settings(
    TOPSORT_BROWSER_EVENTS=["impressions", "clicks", "purchases", "pageviews"]
)


def take(**kinds: Any) -> Intake:
    return take_events(build_request(), encode(**kinds))


def take_impression(**fields: Any) -> Impression:
    assert take(impressions=[build_impression(**fields)]).status == 204
    (event,) = outbox
    assert isinstance(event, Impression)
    return event


def test_placement_has_numbers_in_quotes_texts_as_numbers_and_one_category() -> None:
    event = take_impression(
        placement={
            "path": "https://shop.example/shoes/?q=mail@shop.example",
            "position": "3",
            "page": " 2 ",
            "pageSize": 24.0,
            "productId": 12,
            "categoryId": "shoes",
            "searchQuery": "",
            "location": "top",
        }
    )

    assert event.placement == Placement(
        path="/shoes/",
        position=3,
        page=2,
        page_size=24,
        product_id="12",
        category_ids=("shoes",),
    )


def test_own_name_of_a_field_goes_before_another() -> None:
    for placement in (
        {"path": "/", "categoryId": "a", "categoryIds": ["b", 3, None, ""]},
        {"path": "/", "categoryIds": ["b", 3, None, ""], "categoryId": "a"},
    ):
        event = take_impression(placement=placement)
        assert event.placement == Placement(path="/", category_ids=("b", "3"))
        outbox.clear()


def test_path_that_needs_cleaning_is_cleaned_in_the_fast_way_too() -> None:
    event = take_impression(placement={"path": "/shoes/?q=1#top", "position": 1})

    assert event.placement == Placement(path="/shoes/", position=1)


@pytest.mark.parametrize("placement", [None, {}, {"path": None}, {"path": ""}])
def test_placement_without_a_path_gets_that_of_the_page(placement: Any) -> None:
    assert take_impression(placement=placement).placement == Placement(path="/shoes/")


def test_placement_without_a_path_is_refused_where_no_page_is_known() -> None:
    events = [build_impression(placement={"position": 1}), build_impression(placement=None)]
    intake = take_events(build_request(referer=""), encode(impressions=events))

    assert intake.recorded == 1
    assert intake.refusals[0].message == "placement: Object missing required field `path`"
    (event,) = outbox
    assert isinstance(event, Impression)
    assert event.placement is None


def test_null_is_absent() -> None:
    event = take_impression(
        resolvedBidId=None,
        externalVendorId=None,
        placement={"path": "/", "position": None, "categoryIds": None, "pageSize": "1"},
        page=None,
    )

    assert event.placement == Placement(path="/", page_size=1)


def test_empty_texts_are_absent() -> None:
    event = take_impression(
        externalVendorId="", externalCampaignId="", deviceType="", id="", resolvedBidId=""
    )

    assert (event.external_vendor_id, event.external_campaign_id) == (None, None)


def test_entity_beside_a_bid_is_left_out_whatever_it_is() -> None:
    events = [
        build_sponsored("bid-1", entity={"type": "product", "id": "shoe-1"}),
        build_sponsored("bid-2", entity={"type": "brand"}),
    ]
    assert take(impressions=events).status == 204

    assert [getattr(event, "resolved_bid_id", "") for event in outbox] == ["bid-1", "bid-2"]
    assert [getattr(event, "entity", "") for event in outbox] == [None, None]


def test_attribution_without_a_bid_becomes_the_entity() -> None:
    attribution = {"type": "product", "id": 7}
    event = take_impression(entity=None, additionalAttribution=attribution, resolvedBidId="")

    assert event.entity == Entity(id="7", type="product")
    assert event.additional_attribution is None


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("add_to_cart", "add-to-cart"),
        ("add-to-cart", "add-to-cart"),
        ("image", None),
        ("purchase_now", None),
        ("", None),
    ],
)
def test_click_types_of_the_sdk_are_understood(given: str, wanted: str | None) -> None:
    click = build_sponsored(clickType=given)
    organic = build_impression(object={"type": "listing", "clickType": given, "assetId": 3})
    assert take(clicks=[click]).status == 204
    assert take(clicks=[organic]).status == 204

    first, second = outbox
    assert isinstance(first, Click)
    assert isinstance(second, Click)
    assert first.click_type == wanted
    assert second.object is not None
    assert second.object.click_type == wanted


def test_click_type_of_no_use_is_refused() -> None:
    intake = take(clicks=[build_sponsored(clickType="hover"), build_sponsored(clickType=3)])

    assert [one.message.partition(":")[0] for one in intake.refusals] == ["clickType"] * 2


def test_click_type_of_an_impression_is_left_out() -> None:
    assert take_impression(clickType="product").entity is not None


@pytest.mark.parametrize("given", ["tablet", "", 3, None])
def test_device_that_nobody_knows_is_that_of_the_request(given: Any) -> None:
    assert take_impression(deviceType=given).device_type == "desktop"


def test_device_may_be_said() -> None:
    assert take_impression(deviceType="mobile").device_type == "mobile"


@pytest.mark.parametrize("channel", ["instore", "nowhere", 3])
def test_channel_is_the_shops_own(channel: Any) -> None:
    assert take_impression(channel=channel).channel == "onsite"


@all_kinds
def test_items_of_a_purchase_have_other_names_and_prices_in_quotes() -> None:
    items: list[dict[str, Any]] = [
        {"product": "a", "price": "12.50", "quantity": "2", "vendorId": 9},
        {"productId": 7, "unitPrice": 3, "quantity": 1.0, "name": "Boots"},
        {"productId": "b", "unitPrice": " .5 ", "quantity": ""},
    ]
    assert take(purchases=[build_purchase(*items)]).status == 204

    (event,) = outbox
    assert isinstance(event, Purchase)
    assert [(i.product_id, i.unit_price, i.quantity, i.vendor_id) for i in event.items] == [
        ("a", Decimal("12.50"), 2, "9"),
        ("7", Decimal(3), 1, None),
        ("b", Decimal("0.5"), None, None),
    ]


@all_kinds
def test_gifts_are_left_out_of_a_purchase() -> None:
    gifts: list[dict[str, Any]] = [
        {"productId": "gift", "unitPrice": price} for price in ("0.00", 0, 0.0)
    ]
    bought = {"productId": "shoe", "unitPrice": 10}
    intake = take(purchases=[build_purchase(bought, *gifts), build_purchase(*gifts)])

    (event,) = outbox
    assert isinstance(event, Purchase)
    assert [item.product_id for item in event.items] == ["shoe"]
    assert [one.err_code for one in intake.refusals] == ["no_purchase_items"]


@all_kinds
@pytest.mark.parametrize(
    ("items", "err_code"),
    [
        ([], "no_purchase_items"),
        (None, "no_purchase_items"),
        ("shoe", "bad_request"),
        (["shoe"], "bad_request"),
        ([{"unitPrice": 1}], "missing_product_id"),
        ([{"productId": "a"}], "bad_request"),
        ([{"productId": "a", "unitPrice": "12,50"}], "bad_request"),
        ([{"productId": "a", "unitPrice": "NaN"}], "bad_request"),
        ([{"productId": "a", "unitPrice": False}], "bad_request"),
        ([{"productId": "a", "unitPrice": -1}], "bad_request"),
        (
            [{"productId": "a", "unitPrice": 1, "quantity": 0}],
            "purchase_item_quantity_less_or_equal_than_zero",
        ),
        ([{"productId": "a", "unitPrice": 1, "quantity": 10**10}], "bad_request"),
        ([{"productId": "a", "unitPrice": 1, "quantity": "many"}], "bad_request"),
        ([{"productId": "a", "unitPrice": 1, "quantity": 1.5}], "bad_request"),
    ],
)
def test_purchase_that_cannot_be_repaired_is_refused(items: Any, err_code: str) -> None:
    good = build_purchase({"productId": "a", "unitPrice": 1})
    intake = take(purchases=[{"items": items}, good])

    assert [(one.index, one.err_code) for one in intake.refusals] == [(0, err_code)]
    assert len(outbox) == 1


def test_page_view_has_its_value_as_a_list_only_for_a_cart() -> None:
    pages = [
        {"type": "cart", "pageId": "/cart", "value": ["a", 2, None]},
        {"type": "PDP", "pageId": 3, "value": 4},
        {"type": "home", "pageId": "/", "value": "", "name": "x"},
        {"type": "PDP", "pageId": "/", "value": ["a"]},
        "home",
    ]
    intake = take(pageviews=[{"page": page} for page in pages])

    assert [one.index for one in intake.refusals] == [3, 4]
    found = [event.page for event in outbox if isinstance(event, PageView)]
    assert [(page.type, page.page_id, page.value) for page in found] == [
        ("cart", "/cart", ("a", "2")),
        ("PDP", "3", "4"),
        ("home", "/", None),
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"entity": None}, "resolvedBidId"),
        ({"entity": "shoe"}, "entity"),
        ({"entity": {"id": "x", "type": "brand"}}, "entity.type"),
        ({"entity": {"id": "", "type": "product"}}, "entity"),
        ({"entity": {"id": True, "type": "product"}}, "entity.id"),
        ({"placement": "top"}, "placement"),
        ({"placement": {"path": 3.5}}, "placement.path"),
        ({"placement": {"path": "/", "position": 0}}, "placement.position"),
        ({"placement": {"path": "/", "pageSize": -1}}, "placement.pageSize"),
        ({"placement": {"path": "/", "position": "first"}}, "placement.position"),
        ({"placement": {"path": "/", "position": True}}, "placement.position"),
        ({"placement": {"path": "/", "categoryIds": [{}]}}, "placement.categoryIds"),
        ({"externalVendorId": "x" * 3000}, "externalVendorId"),
        ({"object": {"type": "sidebar"}}, "object.type"),
    ],
)
def test_impression_that_cannot_be_repaired_is_refused_by_its_field(
    fields: dict[str, Any], field: str
) -> None:
    wrong = build_impression(**fields)
    if fields.get("entity", "") is None:
        del wrong["placement"]
    intake = take(impressions=[build_impression(), wrong])

    (refusal,) = intake.refusals
    assert refusal.index == 1
    assert refusal.id == wrong["id"]
    assert refusal.message.startswith(f"{field}: ")
    assert len(outbox) == 1
