"""What the panel says of a request: events, where values came from, what was left out, bodies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client, override_settings

from django_topsort.backends.locmem import outbox
from django_topsort.ids import build_id
from django_topsort.purchases.registry import register_product_id
from django_topsort.wire import decode_request
from tests.browser.sending import FIREFOX
from tests.contrib.debug_toolbar.conftest import GetPanel

NO_COOKIE = "made in this request, which brought no cookie tsuid"
LOCMEM = "django_topsort.backends.locmem.EventBackend"


def say(shopper: Client, *calls: dict[str, Any], **more: Any) -> None:
    query = urlencode({"say": json.dumps(calls)})
    assert shopper.get(f"/say/?{query}", **more).status_code == 200


def get_fields(panel: Any, index: int = 0) -> dict[str, tuple[str, str]]:
    """Return of one event each field's value, and where it came from."""
    fields = panel.get_stats()["events"][index]["fields"]
    return {one["name"]: (one["value"], one["origin"]) for one in fields}


def get_left_out(panel: Any) -> set[tuple[str, ...]]:
    return {tuple(one.values()) for one in panel.get_stats()["left_out"]}


def test_page_shows_what_it_records(shopper: Client, get_panel: GetPanel) -> None:
    shopper.cookies["tsuid"] = "shopper-1"

    response = shopper.get("/listing/")

    panel = get_panel()
    assert panel.title == "Topsort: 2 impressions, 1 page view"
    assert panel.nav_subtitle == ""
    assert "Topsort: 2 impressions, 1 page view" in response.text
    stats = panel.get_stats()
    said = [(one["kind"], one["what"], one["where"]) for one in stats["events"]]
    assert said == [
        ("page view", "category shoes", ""),
        ("impression", "product 1", "/listing/list at 1"),
        ("impression", "product 2", "/listing/list at 2"),
    ]
    names = {one["name"] for one in stats["events"]}
    assert names == {f"{event.kind}:{event.id}" for event in outbox}
    assert get_fields(panel, 2) == {
        "opaqueUserId": ("shopper-1", "the cookie tsuid"),
        "id": (outbox[2].id, "made in this request"),
        "occurredAt": (get_fields(panel, 2)["occurredAt"][0], "the clock"),
        "deviceType": ("desktop", "the user agent"),
        "channel": ("onsite", "TOPSORT_CHANNEL"),
        "entity.id": ("2", "argument, its primary key"),
        "entity.type": ("product", "the default"),
        "placement.path": (
            "/listing/list",
            "the request's path; its end: topsort_placement, component",
        ),
        "placement.position": ("2", "argument"),
        "placement.page": ("1", "topsort_placement"),
        "placement.pageSize": ("24", "topsort_placement"),
        "placement.categoryIds": ('["shoes"]', "topsort_placement"),
    }
    page = {name: value for name, value in get_fields(panel).items() if name.startswith("page")}
    assert page == {"page.type": ("category", "argument"), "page.pageId": ("shoes", "argument")}


def test_body_is_what_will_be_posted(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/listing/")

    (part,) = get_panel().get_stats()["bodies"]
    assert part["backend"] == LOCMEM
    assert part["how"].startswith("takes them when the response is there")
    (body,) = part["bodies"]
    assert [*decode_request(body)] == [outbox[1], outbox[2], outbox[0]]
    assert "TSE_tests" not in json.dumps(get_panel().get_stats())


@override_settings(TOPSORT_CATEGORY_FIELD="categoryId")
def test_body_spells_categories_as_the_setting_says(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/listing/")

    body = json.loads(get_panel().get_stats()["bodies"][0]["bodies"][0])
    assert body["impressions"][0]["placement"]["categoryId"] == "shoes"


@pytest.mark.parametrize(
    ("call", "field", "value", "origin"),
    [
        ({"product": "shoe-1"}, "entity.id", "shoe-1", "argument"),
        ({"resolved_bid_id": "bid-1"}, "resolvedBidId", "bid-1", "argument"),
        ({"vendor": "v-1"}, "entity.type", "vendor", "argument"),
        (
            {"product": "v-1", "entity_type": "vendor"},
            "entity.type",
            "vendor",
            "argument",
        ),
        ({"product": "a", "path": "/b"}, "placement.path", "/b", "argument"),
        ({"product": "a", "path": ""}, "placement.path", "/say/", "the request's path"),
        (
            {"product": "a", "component": "top"},
            "placement.path",
            "/say/top",
            "the request's path; its end: argument, component",
        ),
        ({"product": "a", "id": "own"}, "id", "own", "argument"),
        ({"product": "a", "opaque_user_id": "u"}, "opaqueUserId", "u", "argument"),
        ({"product": "a", "channel": "instore"}, "channel", "instore", "argument"),
        ({"product": "a", "device_type": "mobile"}, "deviceType", "mobile", "argument"),
        (
            {"product": "a", "external_campaign_id": "c"},
            "externalCampaignId",
            "c",
            "argument",
        ),
    ],
)
def test_value_came_from(
    shopper: Client, get_panel: GetPanel, call: dict[str, Any], field: str, value: str, origin: str
) -> None:
    say(shopper, call)

    assert get_fields(get_panel())[field] == (value, origin)


def test_argument_goes_before_the_placement_also_where_both_say_the_same(
    shopper: Client, get_panel: GetPanel
) -> None:
    placed = {"path": "/placed", "position": 3, "page": 2}
    say(shopper, {"set": placed}, {"product": "a", "position": 3}, {"product": "b", "page": None})

    first, second = get_fields(get_panel(), 0), get_fields(get_panel(), 1)
    assert first["placement.path"] == ("/placed", "topsort_placement")
    assert first["placement.position"] == ("3", "argument")
    assert first["placement.page"] == ("2", "topsort_placement")
    assert second["placement.position"] == ("3", "topsort_placement")
    assert second["placement.page"] == ("2", "topsort_placement")


def name_by_hook(product: Any) -> str | None:
    return None if product.pk == 2 else f"sku-{product.pk}"


def test_product_id_came_from_the_hook_or_the_register(
    shopper: Client, get_panel: GetPanel
) -> None:
    with override_settings(TOPSORT_PRODUCT_ID=name_by_hook):
        say(shopper, {"model": 1}, {"model": 2}, {"model": 3})
    panel = get_panel()

    assert get_fields(panel)["entity.id"] == ("sku-1", "argument, by TOPSORT_PRODUCT_ID")
    assert get_fields(panel, 1)["entity.id"] == ("sku-3", "argument, by TOPSORT_PRODUCT_ID")
    why = "TOPSORT_PRODUCT_ID says that Topsort does not know the product"
    assert get_left_out(panel) == {("1 impression", why, "")}

    register_product_id("shop.Product", lambda product: f"own-{product.pk}")
    try:
        say(shopper, {"model": 1})
    finally:
        register_product_id("shop.Product", None)
    expected = ("own-1", "argument, as registered for its model")
    assert get_fields(get_panel())["entity.id"] == expected


def test_shopper_came_from(shopper: Client, get_panel: GetPanel) -> None:
    found = []
    say(shopper, {"product": "a"})
    found.append(get_fields(get_panel())["opaqueUserId"][1])
    say(shopper, {"product": "a"})
    found.append(get_fields(get_panel())["opaqueUserId"][1])
    with override_settings(TOPSORT_USER_ID=lambda request: "customer-1"):
        say(shopper, {"product": "a"})
        found.append(get_fields(get_panel())["opaqueUserId"][1])
    with override_settings(TOPSORT_USER_HEADER=True):
        app = Client(headers={"user-agent": FIREFOX})
        brought = app.get("/listing/").headers["X-Topsort-User"]
        app.cookies.clear()
        say(app, {"product": "a"}, headers={"X-Topsort-User": brought})
        found.append(get_fields(get_panel())["opaqueUserId"][1])

    assert found == [NO_COOKIE, "the cookie tsuid", "TOPSORT_USER_ID", "the header X-Topsort-User"]


def test_device_came_from_the_header_only_where_that_decides(
    shopper: Client, get_panel: GetPanel
) -> None:
    say(shopper, {"product": "a"}, headers={"Sec-CH-UA-Mobile": "?1"})
    assert get_fields(get_panel())["deviceType"] == ("mobile", "the header Sec-CH-UA-Mobile")
    say(shopper, {"product": "a"}, headers={"Sec-CH-UA-Mobile": "?0"})
    assert get_fields(get_panel())["deviceType"] == ("desktop", "the user agent")


def test_wrong_data_is_shown_with_field_and_rule(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/wrong/")

    panel = get_panel()
    assert panel.title == "Topsort: 1 impression, 1 page view"
    assert get_fields(panel, 1)["page.value"] == ("boots", "argument")
    assert get_fields(panel, 1)["page.pageId"] == ("/wrong/", "the request's path")
    rules = {(what, why): rule for what, why, rule in get_left_out(panel)}
    assert rules["2 impressions", "wrong data"].startswith("placement.position: 0 is not allowed")
    assert rules["1 placement", "wrong data"].startswith("colour: 'red' is not allowed, there is")
    assert rules["1 page view", "wrong data"].startswith("page.type: 'shelf' is not allowed")
    assert rules["1 impression", "wrong data"].startswith("placement.position: -1 is not")
    assert len(rules) == 4
    assert panel.nav_subtitle.startswith("left out 2 impressions: wrong data; ")


@override_settings(TOPSORT_STRICT=True)
def test_wrong_data_that_raises_is_shown_too(shopper: Client, get_panel: GetPanel) -> None:
    shopper.raise_request_exception = False

    assert shopper.get("/wrong/").status_code == 500

    ((what, why, rule),) = get_left_out(get_panel())
    assert (what, why) == ("1 impression", "wrong data")
    assert rule.startswith("placement.position: 0 is not allowed")


@pytest.mark.parametrize(
    ("headers", "settings", "why"),
    [
        ({"user-agent": "Googlebot/2.1"}, {}, "a crawler or another program asks"),
        ({"Sec-Purpose": "prefetch"}, {}, "the browser fetches in advance"),
        (
            {},
            {"TOPSORT_CONSENT": lambda request: False},
            "the shopper has not consented (TOPSORT_CONSENT)",
        ),
        (
            {},
            {"TOPSORT_IGNORE_REQUEST": lambda request: True},
            "TOPSORT_IGNORE_REQUEST says so",
        ),
        (
            {},
            # It says so the first time alone.
            {"TOPSORT_CONSENT": iter([False, True]).__next__},
            "it could not be asked again",
        ),
    ],
)
def test_request_that_does_not_count_says_why(
    shopper: Client, get_panel: GetPanel, headers: Any, settings: dict[str, Any], why: str
) -> None:
    if isinstance(hook := settings.get("TOPSORT_CONSENT"), type(iter([]).__next__)):
        settings = {"TOPSORT_CONSENT": lambda request: hook()}
    with override_settings(**settings):
        shopper.get("/listing/", headers=headers)

    panel = get_panel()
    assert panel.title == "Topsort: nothing recorded"
    assert get_left_out(panel) == {("2 impressions", why, ""), ("1 page view", why, "")}
    assert panel.nav_subtitle == f"left out 1 page view: {why}; 2 impressions: {why}"


def test_hook_that_raises_when_it_is_asked_again_is_no_matter(
    shopper: Client, get_panel: GetPanel
) -> None:
    answers = iter([False])
    with override_settings(TOPSORT_CONSENT=lambda request: next(answers)):
        say(shopper, {"product": "a"})

    assert get_left_out(get_panel()) == {("1 impression", "it could not be asked again", "")}


def test_page_for_the_browser_shows_what_it_is_told(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/seen/")

    panel = get_panel()
    assert panel.title == "Topsort: nothing recorded"
    assert panel.nav_subtitle == "told the browser: 2 elements, 2 click links, the script"
    told = [(one["door"], one["what"]) for one in panel.get_stats()["told"]]
    assert told == [
        ("topsort_script", "page view: category shoes"),
        ("topsort_click_url", "bid bid-1"),
        ("topsort_attrs", "product shoe-1 at 1"),
        ("topsort_click_url", "bid bid-1"),
        ("topsort_attrs", "product shoe-2 at 2"),
    ]

    shopper.get("/plain-script/")
    assert get_panel().nav_subtitle == "told the browser: the script"
    (one,) = get_panel().get_stats()["told"]
    assert one["what"] == "no page view"


def test_page_that_tells_a_crawler_nothing_says_so(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/seen/", headers={"user-agent": "Googlebot/2.1"})

    why = "a crawler or another program asks"
    assert get_left_out(get_panel()) == {("what a browser would report", why, "")}


def post(shopper: Client, body: dict[str, Any], status: int = 204) -> None:
    answer = shopper.post("/topsort/v2/events", json.dumps(body), "application/json")
    assert answer.status_code == status, answer.content


def test_browsers_post_shows_what_is_the_servers(shopper: Client, get_panel: GetPanel) -> None:
    shopper.cookies["tsuid"] = "shopper-1"
    entity, event_id = {"type": "product", "id": "shoe-1"}, build_id()
    post(shopper, {"impressions": [{"id": event_id, "entity": entity, "placement": {"path": "/"}}]})

    panel = get_panel()
    assert panel.title == "Topsort: 1 impression"
    fields = get_fields(panel)
    assert fields["opaqueUserId"] == ("shopper-1", "the cookie tsuid")
    assert fields["channel"] == ("onsite", "TOPSORT_CHANNEL")
    assert fields["entity.id"] == ("shoe-1", "what the browser has posted")
    assert fields["id"][0] == event_id
    assert fields["id"][1].startswith("what the browser has posted; an id of this shop's")


def test_browsers_post_shows_what_is_not_taken(shopper: Client, get_panel: GetPanel) -> None:
    with override_settings(TOPSORT_REQUIRE_SIGNED_BIDS=True):
        wrong = {"entity": {"type": "shelf", "id": "b"}}
        events = [{"resolvedBidId": "a"}, wrong, wrong]
        post(shopper, {"impressions": events, "purchases": [{}]}, 400)

    left_out = {(what, why): rule for what, why, rule in get_left_out(get_panel())}
    unsigned = ("1 impression", "a bid that is not signed (TOPSORT_REQUIRE_SIGNED_BIDS)")
    assert "it must be signed" in left_out[unsigned]
    assert left_out["2 impressions", "wrong data"].count("entity.type") == 1
    taken = ("1 purchase", "not taken from browsers (TOPSORT_BROWSER_EVENTS)")
    assert "purchases are not taken from browsers" in left_out[taken]


def test_browsers_post_without_consent_says_so(shopper: Client, get_panel: GetPanel) -> None:
    with override_settings(TOPSORT_CONSENT=lambda request: False):
        post(shopper, {"impressions": [{"resolvedBidId": "a"}]})

    why = "the shopper has not consented (TOPSORT_CONSENT)"
    assert get_left_out(get_panel()) == {("what a browser would report", why, "")}


def test_repeat_is_shown(shopper: Client, get_panel: GetPanel) -> None:
    for _ in range(2):
        body = {"impressions": [{"id": build_id(), "resolvedBidId": "bid-1"}]}
        post(shopper, body)

    assert get_left_out(get_panel()) == {("1 impression", "a repeat", "")}


def test_click_link_shows_the_link_as_the_origin(shopper: Client, get_panel: GetPanel) -> None:
    page = shopper.get("/finished/").json()
    (click,) = get_panel().get_stats()["events"]
    origins = {one["origin"] for one in click["fields"]}
    assert origins == {"the event given to record"}

    assert shopper.get(page["link"]).status_code == 302

    panel = get_panel()
    assert panel.title == "Topsort: 1 click"
    fields = get_fields(panel)
    assert fields["entity.id"] == ("shoe-1", "the signed click link")
    assert fields["opaqueUserId"][1] == NO_COOKIE or fields["opaqueUserId"][1] == "the cookie tsuid"


@pytest.mark.django_db(transaction=True)
def test_order_shows_its_purchase_and_who_knows_more(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/pay/")

    assert [event.id for event in outbox] == ["1001"]
    panel = get_panel()
    assert panel.title == "Topsort: 1 purchase"
    (event,) = panel.get_stats()["events"]
    assert event["what"] == "order 1001: 1 items"
    fields = get_fields(panel)
    assert fields["items[0].unitPrice"][0] == "29.95"
    assert "manage.py topsort_purchase" in fields["items[0].quantity"][1]
    assert fields["opaqueUserId"][1].startswith("who ordered")
    assert get_left_out(panel) == {("1 purchase", "nobody knows who ordered", "")}


@pytest.mark.django_db(transaction=True)
def test_purchase_that_is_recorded_shows_its_first_items(
    shopper: Client, get_panel: GetPanel
) -> None:
    shopper.get("/buy-much/")

    fields = get_fields(get_panel())
    assert fields["items[0].unitPrice"] == ("5.50", "the event given to record")
    assert fields["..."] == ("", "more of the same")
    assert len(fields) == 101


def test_clicks_that_are_too_many_are_shown(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/flood/")

    why = "too many clicks (TOPSORT_CLICK_RATE, TOPSORT_CLICK_ADDRESS_RATE)"
    assert get_left_out(get_panel()) == {("3 clicks", why, "")}


def test_failed_page_shows_that_nobody_saw_it(shopper: Client, get_panel: GetPanel) -> None:
    shopper.raise_request_exception = False

    assert shopper.get("/fail/").status_code == 500

    panel = get_panel()
    assert panel.title == "Topsort: 1 impression, 1 click"
    assert get_left_out(panel) == {("1 impression", "the page has failed, nobody sees it", "")}
    (part,) = panel.get_stats()["bodies"]
    assert json.loads(part["bodies"][0]).keys() == {"clicks"}
    assert [event.kind for event in outbox] == ["clicks"]


def test_panel_is_bounded(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/many/")

    panel = get_panel()
    stats = panel.get_stats()
    assert panel.title == "Topsort: 250 impressions, 250 clicks"
    assert len(stats["events"]) == 200
    assert stats["more_events"] == 300
    assert (len(stats["told"]), stats["more_told"]) == (200, 50)
    assert "And 300 more." in panel.content
    assert "And 50 more." in panel.content


EVIL = "<script>alert(1)</script>"


def test_text_of_shoppers_is_escaped(shopper: Client, get_panel: GetPanel) -> None:
    response = shopper.get(f"/{EVIL}/named/")
    assert EVIL not in response.text
    pages = [get_panel().content]
    say(
        shopper,
        {"product": EVIL, "path": EVIL, "search_query": EVIL},
        {"product": "a", "position": EVIL},
        {"product": "a", EVIL: 1},
    )
    pages.append(get_panel().content)
    post(shopper, {"impressions": [{"entity": {"id": EVIL, "type": EVIL}}], EVIL: [{}]}, 400)
    pages.append(get_panel().content)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[1]
    for page in pages:
        assert "<script" not in page


def test_text_is_escaped_also_where_the_project_does_not(
    shopper: Client, get_panel: GetPanel, settings: Any
) -> None:
    options = settings.TEMPLATES[0]["OPTIONS"] | {"autoescape": False}
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"OPTIONS": options}]

    say(shopper, {"product": EVIL})

    assert "<script" not in get_panel().content


def test_no_cookie_but_the_shoppers_own_and_no_key_is_shown(
    shopper: Client, get_panel: GetPanel
) -> None:
    shopper.cookies["sessionid"] = "a-session-of-somebody"
    shopper.cookies["tsuid"] = "shopper-1"

    shopper.get("/listing/")

    shown = json.dumps(get_panel().get_stats()) + get_panel().content
    assert "shopper-1" in shown
    assert "a-session-of-somebody" not in shown
    assert "TSE_tests" not in shown
