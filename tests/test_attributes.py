"""The attributes from which a browser reports: what they say, whatever the values are."""

from __future__ import annotations

import json
import logging
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import lazystr
from django.utils.safestring import SafeString, mark_safe
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.attributes import build_attrs
from django_topsort.backends.locmem import outbox
from django_topsort.bids import is_signed, read_bid
from django_topsort.events import Entity, InteractionObject, Page, Placement
from django_topsort.exceptions import InvalidEvent, InvalidToken
from django_topsort.facts import get_collector
from django_topsort.status import get_status
from django_topsort.tracking import set_placement, track_impression
from tests.shop.models import Product

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
CRAWLER = {"user-agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}
BID = "WyJiIiwiMTIzIiwiMSIsInJlc29sdmVkIl0="
ENTITY = Entity(id="7", type="product")


@pytest.fixture
def request_() -> HttpRequest:
    return build_request()


def build_request(path: str = "/shoes/", **headers: str) -> HttpRequest:
    return RequestFactory().get(path, headers={**BROWSER, **headers})


class Elements(HTMLParser):
    """Reads a page as a browser does; keeps each element's attributes and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.attributes: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "li"
        self.attributes.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(attrs: str) -> dict[str, Any]:
    """Return what a browser reads of an element with these attributes."""
    elements = Elements(f"<li class='card' {attrs}>text</li>")
    (attributes,) = elements.attributes
    assert (elements.text, attributes.pop("class")) == ("text", "card")
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        short = name.removeprefix("data-ts-")
        assert short != name
        is_json = short in {"placement", "fields"}
        found[short] = json.loads(value or "") if is_json else value
    return found


def count_refused() -> int:
    counts: dict[str, Any] = get_status()["process"]["impressions"]["reasons"]
    return int(counts.get("invalid", 0))


def test_organic_product(request_: HttpRequest) -> None:
    attrs = build_attrs(request_, "7")

    assert attrs == "data-ts-product='7'"
    assert isinstance(attrs, SafeString)
    assert not outbox


def test_sponsored_product_names_product_and_bid(request_: HttpRequest) -> None:
    attrs = build_attrs(request_, Product(pk=7), resolved_bid_id=BID, position=3)

    assert read(attrs) == {"product": "7", "resolved-bid": BID, "placement": {"position": 3}}


@pytest.mark.parametrize("bid", ["", None])
def test_empty_bid_is_none(request_: HttpRequest, bid: str | None) -> None:
    assert read(build_attrs(request_, "7", resolved_bid_id=bid)) == {"product": "7"}


@pytest.mark.parametrize("bid", [mark_safe("bid"), lazystr("bid")])
def test_bid_of_a_template_is_text(request_: HttpRequest, bid: Any) -> None:
    assert read(build_attrs(request_, resolved_bid_id=bid)) == {"resolved-bid": "bid"}


@pytest.mark.parametrize("product", [None, ""])
def test_banner_needs_no_product(request_: HttpRequest, product: object) -> None:
    assert read(build_attrs(request_, product, resolved_bid_id=BID)) == {"resolved-bid": BID}


@pytest.mark.parametrize("bid", [None, ""])
def test_banner_without_a_bid_has_no_attributes(request_: HttpRequest, bid: str | None) -> None:
    assert build_attrs(request_, resolved_bid_id=bid, banner=True) == ""


def test_banner_with_a_product_says_that_it_is_one(request_: HttpRequest) -> None:
    attrs = build_attrs(request_, "7", resolved_bid_id=BID, banner=True)

    assert read(attrs) == {"product": "7", "resolved-bid": BID, "banner": None}


def test_vendor_says_that_it_is_one(request_: HttpRequest) -> None:
    attrs = build_attrs(request_, 12, entity_type="vendor")

    assert read(attrs) == {"product": "12", "entity-type": "vendor"}


def test_entity_stands_for_the_product(request_: HttpRequest) -> None:
    assert read(build_attrs(request_, entity=ENTITY)) == {"product": "7"}


def test_page_of_a_banner_inherits_its_bid(request_: HttpRequest) -> None:
    attrs = build_attrs(request_, "7", resolved_bid_id="inherit", action="landing")

    assert read(attrs) == {"product": "7", "resolved-bid": "inherit", "action": "landing"}
    assert "shopper" not in get_collector(request_).found


def test_every_value_is_said_in_topsorts_spelling(request_: HttpRequest) -> None:
    attrs = build_attrs(
        request_,
        "7",
        resolved_bid_id=BID,
        component="/carousel/",
        position=1,
        page=2,
        page_size=3,
        product_id=4,
        category_ids=["a", "b"],
        search_query="q",
        external_campaign_id="ec",
        external_vendor_id="ev",
        event_page=Page(type="home", page_id="/"),
        additional_attribution=Entity(id="v", type="vendor"),
        object=InteractionObject(type="banner", asset_id="a1"),
    )

    assert read(attrs) == {
        "product": "7",
        "resolved-bid": BID,
        "placement": {
            "position": 1,
            "page": 2,
            "pageSize": 3,
            "productId": "4",
            "categoryIds": ["a", "b"],
            "searchQuery": "q",
            "component": "carousel",
        },
        "fields": {
            "page": {"type": "home", "pageId": "/"},
            "object": {"type": "banner", "assetId": "a1"},
            "additionalAttribution": {"type": "vendor", "id": "v"},
            "externalCampaignId": "ec",
            "externalVendorId": "ev",
        },
    }


def test_placement_of_the_template_lies_under_the_elements_own(request_: HttpRequest) -> None:
    set_placement(request_, category_ids="shoes", page=2, component="list")

    attrs = build_attrs(request_, "7", page=3, position=1)

    assert read(attrs)["placement"] == {
        "categoryIds": ["shoes"],
        "page": 3,
        "position": 1,
        "component": "list",
    }


@pytest.mark.parametrize(
    ("fields", "placement"),
    [
        ({"path": "/p"}, {"path": "/p"}),
        ({"path": "/p/", "component": "list"}, {"path": "/p/list"}),
        ({"placement": Placement(path="/p", position=2)}, {"path": "/p", "position": 2}),
    ],
)
def test_path_is_said_where_the_template_says_it(
    request_: HttpRequest, fields: dict[str, Any], placement: dict[str, Any]
) -> None:
    assert read(build_attrs(request_, "7", **fields))["placement"] == placement


@override_settings(TOPSORT_PRODUCT_ID=lambda product: None)
def test_product_that_topsort_does_not_know_prints_nothing(request_: HttpRequest) -> None:
    assert build_attrs(request_, Product(pk=7)) == ""
    assert build_attrs(request_, Product(pk=7), resolved_bid_id=BID) == ""


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("product", {}),
    ("product", {"product": ""}),
    ("product", {"resolved_bid_id": "inherit"}),
    ("product", {"product": Product(), "resolved_bid_id": BID}),
    ("entity", {"product": "7", "entity": ENTITY}),
    ("entity.type", {"product": "7", "entity_type": "brand"}),
    ("resolved_bid_id", {"product": "7", "resolved_bid_id": "x" * 2049}),
    ("placement.position", {"product": "7", "position": 0}),
    ("placement.path", {"product": "7", "component": "\ud800"}),
    ("placement", {"product": "7", "placement": "/shoes/"}),
    ("placement", {"product": "7", "placement": Placement(path="/"), "position": 1}),
    ("additional_attribution", {"product": "7", "additional_attribution": ENTITY}),
    ("external_vendor_id", {"product": "7", "external_vendor_id": ""}),
    ("banner", {"product": "7", "banner": True, "resolved_bid_id": "inherit"}),
    ("action", {"product": "7", "action": "landing"}),
    ("action", {"product": "7", "action": "landing", "resolved_bid_id": BID}),
    ("action", {"product": "7", "action": "purchase", "resolved_bid_id": "inherit"}),
    ("data-ts-product", {"product": "a\0b"}),
    ("poistion", {"product": "7", "poistion": 1}),
    # The browser says these, or the request with which it posts.
    ("opaque_user_id", {"product": "7", "opaque_user_id": "u"}),
    ("occurred_at", {"product": "7", "occurred_at": None}),
]


@pytest.mark.parametrize(("field", "arguments"), WRONG)
def test_wrong_data_raises_while_strict(
    request_: HttpRequest, field: str, arguments: dict[str, Any]
) -> None:
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        build_attrs(request_, **arguments)

    assert caught.value.field == field


@pytest.mark.parametrize(("field", "arguments"), WRONG)
def test_wrong_data_prints_nothing_and_is_counted(
    request_: HttpRequest,
    caplog: pytest.LogCaptureFixture,
    field: str,
    arguments: dict[str, Any],
) -> None:
    before = count_refused()

    with caplog.at_level(logging.ERROR):
        assert build_attrs(request_, **arguments) == ""

    assert count_refused() == before + 1
    assert f"field={field}" in caplog.text


def test_without_a_request_nothing_is_printed() -> None:
    assert build_attrs(None, "7") == ""  # type: ignore[arg-type]


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_without_consent_nothing_is_printed(request_: HttpRequest) -> None:
    assert build_attrs(request_, "7", resolved_bid_id=BID) == ""
    assert "shopper" not in get_collector(request_).found


def test_crawler_gets_nothing_of_it() -> None:
    assert build_attrs(build_request(**CRAWLER), "7") == ""


def test_page_that_is_fetched_in_advance_has_attributes() -> None:
    request = build_request(**{"sec-purpose": "prefetch"})

    assert track_impression(request, "7") is None
    assert build_attrs(request, "7") == "data-ts-product='7'"


def test_consent_is_asked_once() -> None:
    asked = []

    def consent(request: HttpRequest) -> bool:
        asked.append(request)
        return True

    request = build_request()
    with override_settings(TOPSORT_CONSENT=consent):
        track_impression(request, "7")
        assert build_attrs(request, "7") == build_attrs(request, "7") != ""

    assert len(asked) == 1


@override_settings(TOPSORT_REQUIRE_SIGNED_BIDS=True)
def test_signed_bid_is_the_shoppers_alone(request_: HttpRequest) -> None:
    attrs = build_attrs(request_, "7", resolved_bid_id=BID)

    signed = read(attrs)["resolved-bid"]
    assert is_signed(signed)
    assert BID not in attrs.replace(signed, "")
    shopper = get_collector(request_).found["shopper"].opaque_user_id
    assert read_bid(signed, [shopper]) == BID
    with pytest.raises(InvalidToken) as caught:
        read_bid(signed, ["somebody-else"])
    assert caught.value.reason == "foreign"


def test_bid_makes_the_page_one_shoppers_own(request_: HttpRequest) -> None:
    build_attrs(request_, "7")
    assert not hasattr(request_, "_cache_update_cache")

    for bid in (BID, "another"):
        build_attrs(request_, "7", resolved_bid_id=bid)
        assert request_._cache_update_cache is False  # type: ignore[attr-defined]


HOSTILE = [
    "'",
    '"',
    "<script>alert(1)</script>",
    "</script>",
    "--> <!--",
    "a&amp;b&#39;&lt",
    "a\nb\tc\r\nd\re\x0bf\x0c",
    "\u2028\u2029\u0085\ufeff",
    "' onclick='alert(1)",
    "{{ product }}{% load topsort %}",
    "\x7f\x80\x9f\ufffe",
    "👟" * 1024,
    "'" * 2048,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_arrive_as_they_are(text: str) -> None:
    request = build_request()
    set_placement(request, search_query=text)

    attrs = build_attrs(request, text, resolved_bid_id=text, external_vendor_id=text)

    assert read(attrs) == {
        "product": text.strip(),  # as in every event
        "resolved-bid": text,
        "placement": {"searchQuery": text},
        "fields": {"externalVendorId": text},
    }


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.text(
    st.sampled_from("'\"<>&;#\r\n/= x\0"), min_size=1
)


@given(product=texts, bid=texts, query=texts, component=texts)
def test_whatever_the_values_are_they_arrive_or_nothing_does(
    product: str, bid: str, query: str, component: str
) -> None:
    attrs = build_attrs(
        build_request(),
        product,
        resolved_bid_id=bid,
        search_query=query,
        component=component,
    )

    known = product.strip()
    if not known or "\0" in known + bid:
        assert attrs == ""
        return
    found = read(attrs)
    name = component.strip("/")
    assert found.pop("placement") == {
        "searchQuery": query,
        **({"component": name} if name else {}),
    }
    assert found == {"product": known, "resolved-bid": bid}
