"""The page around the script: shown again, broken, policed, hostile, or with the script twice."""

from __future__ import annotations

import pytest

from tests.browsers.chromium import Browser, wait_until
from tests.browsers.site.urls import NONCE
from tests.browsers.test_seen import CONTROL, card

pytestmark = pytest.mark.browsers

HOME = '{"type": "home", "pageId": "home"}'
ITEMS = '[{"product": "p-1", "quantity": 2, "price": "12.50"}]'


def test_page_view_is_reported_without_any_element(browser: Browser) -> None:
    browser.open("nothing to see", page=HOME)

    browser.wait_for("pageviews", 1)

    (event,) = browser.recorder.get("pageviews")
    assert set(event) == {"id", "occurredAt", "page"}
    assert browser.get_said("pageviews") == ["#document"]


def test_page_without_a_type_is_not_reported(browser: Browser) -> None:
    browser.open(CONTROL)

    browser.wait_for("impressions", 1)

    assert browser.recorder.get("pageviews") == []


def test_page_that_is_gone_back_to_is_reported_again(browser: Browser) -> None:
    browser.write("other", "other")
    purchase = f"<div id=bought data-ts-action=purchase data-ts-items='{ITEMS}'></div>"
    browser.open(card("p-1") + purchase, page=HOME)
    browser.wait_for_said("impressions", "p-1")
    browser.run("window.lives = true")
    browser.go("other")

    browser.driver.back()

    assert browser.run("return window.lives"), "the page was not kept"
    browser.wait_for_said("impressions", "p-1", "p-1")
    assert browser.get_said("pageviews") == ["#document"] * 2
    assert browser.get_said("purchases") == ["bought"]
    browser.wait_for("impressions", 2)
    assert len({event["id"] for event in browser.recorder.get("impressions")}) == 2


def test_purchase_is_reported_once(browser: Browser) -> None:
    browser.open(f"<p id=bought data-ts-action=purchase data-ts-items='{ITEMS}'>thanks</p>")
    browser.wait_for("purchases", 1)

    browser.run(
        "arguments[0].dataset.tsItems = arguments[0].dataset.tsItems", browser.find("bought")
    )
    browser.find("bought").click()
    browser.run(f"document.body.insertAdjacentHTML('beforeend', `{CONTROL}`)")
    browser.wait_for_said("impressions", "control")

    assert browser.get_said("purchases") == ["bought"]
    assert browser.get_said("clicks") == []
    (event,) = browser.recorder.get("purchases")
    assert event["items"] == [{"product": "p-1", "quantity": 2, "price": "12.50"}]


@pytest.mark.parametrize("first", ["'><b>", "{broken", "null", "5", '"text"', "[]", "[1]"])
def test_broken_markup_does_not_stop_the_rest(browser: Browser, first: str) -> None:
    text = first.replace("'", "&#39;")
    browser.open(
        f"<p data-ts-action=purchase data-ts-items='{text}'></p>"
        f"<div id=odd class=card data-ts-product='{text}' data-ts-placement='{text}'"
        f" data-ts-fields='{text}'>odd</div>"
        "<form id=topsort class=card data-ts-product=form><input name=dataset><input name=matches>"
        "<input name=closest><input name=checkVisibility></form>"
        f"<p id=bought data-ts-action=purchase data-ts-items='{ITEMS}'></p>" + CONTROL,
        page=HOME,
    )

    browser.wait_for("impressions", 2)
    browser.find("odd").click()
    browser.wait_for("clicks", 1)

    assert browser.recorder.get_products("impressions") == {first: 1, "control": 1}
    assert "bought" in browser.get_said("purchases")
    assert len(browser.recorder.get("pageviews")) == 1
    assert browser.get_log() == []


def test_hostile_product_is_only_text(browser: Browser) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\u2028'\"` é 😀"
    browser.open("<div id=p-1 class=card>p-1</div>")

    browser.run("arguments[0].dataset.tsProduct = arguments[1]", browser.find("p-1"), hostile)

    browser.wait_for("impressions", 1)
    assert browser.recorder.get_products("impressions") == {hostile: 1}
    assert browser.get_log() == []


def test_strict_policy_is_kept_and_no_cookie_is_set(browser: Browser) -> None:
    browser.open(card("p-1") + card("p-2", resolved_bid="bid"), page=HOME)
    browser.find("p-1").click()

    browser.wait_for("impressions", 2)
    browser.wait_for("clicks", 1)

    assert browser.get_log() == []
    assert browser.driver.get_cookies() == []


def test_script_loaded_twice_reports_once(browser: Browser) -> None:
    browser.open(card("p-1"), page=HOME, tags=2)
    browser.wait_for_said("impressions", "p-1")

    browser.find("p-1").click()
    browser.wait_for("clicks", 1)

    assert [browser.get_said(kind) for kind in ("pageviews", "impressions", "clicks")] == [
        ["#document"],
        ["p-1"],
        ["p-1"],
    ]


def test_listener_that_throws_costs_no_event(browser: Browser) -> None:
    angry = "document.addEventListener('topsort', () => { throw new Error('the shop') })"
    browser.open(
        card("p-1") + card("p-2"), head=f"<script nonce={NONCE}>{angry}</script>", page=HOME
    )

    browser.wait_for("impressions", 2)

    assert len(browser.recorder.get("pageviews")) == 1
    assert all("the shop" in line for line in browser.get_log())


def test_shop_hears_of_each_event_on_its_element(browser: Browser) -> None:
    browser.open(card("p-1"), page=HOME)
    browser.wait_for("impressions", 1)

    said = browser.run("return said")

    assert [(event["kind"], event["on"]) for event in said] == [
        ("pageviews", "#document"),
        ("impressions", "p-1"),
    ]
    assert said[1]["event"] == browser.recorder.get("impressions")[0]


def test_page_that_is_rendered_beforehand_is_reported_when_it_is_shown(browser: Browser) -> None:
    browser.write("next", card("p-1"), page=HOME)
    rules = '{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}'
    browser.open(
        f"<script type=speculationrules nonce={NONCE}>{rules}</script>"
        f"<a id=link href='/next'>next</a>{CONTROL}"
    )
    browser.wait_for("impressions", 1)
    assert browser.recorder.get("pageviews") == []

    browser.find("link").click()

    browser.wait_for("pageviews", 1)
    browser.wait_for("impressions", 2)
    began = browser.run("return performance.getEntriesByType('navigation')[0].activationStart")
    wait_until(lambda: browser.get_said("pageviews") == ["#document"], "one page view")
    assert began >= 0
