"""What a shopper clicks: once for each action, whatever the shop's own code does with it."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.mouse_button import MouseButton

from tests.browsers.chromium import Browser, wait_until
from tests.browsers.site.urls import NONCE

pytestmark = pytest.mark.browsers

STAY = f"""<script nonce={NONCE}>
addEventListener("click", (event) => event.preventDefault());
addEventListener("auxclick", (event) => event.preventDefault());
</script>"""


def press(browser: Browser, name: str, button: str) -> None:
    """Click the middle of an element with any button of a mouse."""
    actions = ActionBuilder(browser.driver)
    actions.pointer_action.move_to(browser.find(name))
    actions.pointer_action.pointer_down(button).pointer_up(button)
    actions.perform()


def get_clicks(browser: Browser) -> list[Any]:
    said: list[Any] = browser.run("return said")
    return [event["event"] for event in said if event["kind"] == "clicks"]


def end_with_click(browser: Browser) -> None:
    """Click what is surely reported, and wait for it: whatever came before is known then."""
    browser.run(
        "document.body.insertAdjacentHTML('beforeend',"
        " '<div class=card id=end data-ts-product=end>end</div>')"
    )
    browser.driver.execute_async_script("setTimeout(arguments[0], 450)")  # no double click
    browser.find("end").click()
    wait_until(lambda: "end" in browser.get_said("clicks"), "the last click")


def assert_clicked(browser: Browser, *names: str) -> None:
    end_with_click(browser)
    assert browser.get_said("clicks") == [*names, "end"]


def test_click_is_reported_and_is_an_impression_at_once(browser: Browser) -> None:
    browser.open("<div id=p-1 class=card data-ts-product=p-1>p-1</div>", seconds="60")

    browser.find("p-1").click()

    browser.wait_for("clicks", 1)
    assert browser.recorder.get_products("clicks") == {"p-1": 1}
    assert browser.recorder.get_products("impressions") == {"p-1": 1}
    assert len(browser.recorder.requests) == 1
    assert browser.recorder.get("clicks")[0]["placement"] == {"path": "/page"}


def test_impression_is_not_reported_again_after_a_click(browser: Browser) -> None:
    browser.open("<div id=p-1 class=card data-ts-product=p-1>p-1</div>" + STAY)
    browser.wait_for_said("impressions", "p-1")

    browser.find("p-1").click()

    assert_clicked(browser, "p-1")
    assert browser.get_said("impressions").count("p-1") == 1


@pytest.mark.parametrize(
    ("button", "inside", "is_reported"),
    [
        (MouseButton.LEFT, "link", True),
        (MouseButton.MIDDLE, "link", True),
        (MouseButton.MIDDLE, "text", False),
        (MouseButton.RIGHT, "link", False),
    ],
)
def test_buttons_of_a_mouse(browser: Browser, button: str, inside: str, is_reported: bool) -> None:
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1><p id=text>text</p>"
        f"<a id=link href='/other'>link</a></div>{STAY}"
    )

    press(browser, inside, button)

    assert_clicked(browser, *["p-1"] * is_reported)


def test_enter_on_a_link_is_one_click(browser: Browser) -> None:
    browser.open(
        f"<div id=p-1 class=card data-ts-product=p-1><a id=link href='/x'>x</a></div>{STAY}"
    )

    browser.find("link").send_keys(Keys.ENTER)

    assert_clicked(browser, "p-1")


def test_double_click_is_one_click(browser: Browser) -> None:
    browser.open(f"<div id=p-1 class=card data-ts-product=p-1>p-1</div>{STAY}")

    ActionChains(browser.driver).double_click(browser.find("p-1")).perform()

    assert_clicked(browser, "p-1")


def test_click_on_a_label_is_one_click(browser: Browser) -> None:
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1>"
        "<label for=box id=label>label</label> <input id=box type=checkbox></div>"
    )

    browser.find("label").click()

    assert browser.run("return document.getElementById('box').checked")
    assert_clicked(browser, "p-1")


def test_click_by_code_is_none(browser: Browser) -> None:
    browser.open(f"<div id=p-1 class=card data-ts-product=p-1>p-1</div>{STAY}", seconds="60")

    browser.run("arguments[0].click()", browser.find("p-1"))

    assert_clicked(browser)
    assert "p-1" not in browser.get_said("impressions")


def test_only_what_is_clickable_counts(browser: Browser) -> None:
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1><p id=text>text</p>"
        "<button id=like data-ts-clickable=like>like</button>"
        "<button id=plain data-ts-clickable><b id=bold>more</b></button></div>"
    )

    browser.find("text").click()
    end_with_click(browser)
    for name in ("like", "bold"):
        browser.driver.execute_async_script("setTimeout(arguments[0], 450)")
        browser.find(name).click()

    wait_until(lambda: len(get_clicks(browser)) == 3, "three clicks")
    assert browser.get_said("clicks") == ["end", "p-1", "p-1"]
    assert [click.get("clickType") for click in get_clicks(browser)] == [None, "like", None]


def test_link_that_counts_itself_is_not_reported(browser: Browser) -> None:
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1 data-ts-resolved-bid=bid-1>"
        f"<a id=link href='/topsort/click/token'>p-1</a></div>{STAY}",
        seconds="60",
    )

    browser.find("link").click()

    assert_clicked(browser)
    assert browser.get_said("impressions") == ["p-1", "end"]


def test_innermost_element_counts(browser: Browser) -> None:
    browser.open(
        "<div id=banner data-ts-resolved-bid=bid-1 data-ts-banner>"
        "<div id=p-1 class=card data-ts-product=p-1><b id=inner>p-1</b></div></div>"
    )

    browser.find("inner").click()

    assert_clicked(browser, "p-1")


def test_element_that_names_nothing_is_left_alone(browser: Browser) -> None:
    browser.open(
        "<div id=empty class=card data-ts-product=''>empty</div>"
        "<div id=heir class=card data-ts-resolved-bid=inherit>heir</div>"
    )

    browser.find("empty").click()
    browser.find("heir").click()

    assert_clicked(browser)
    assert browser.get_said("impressions") == ["end"]


def test_click_that_the_shop_stops_is_reported(browser: Browser) -> None:
    stop = "event.stopImmediatePropagation(); event.preventDefault(); throw new Error('shop')"
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1>p-1</div>"
        f"<script nonce={NONCE}>document.getElementById('p-1')"
        f".addEventListener('click', (event) => {{ {stop} }}, true)</script>"
    )

    browser.find("p-1").click()

    assert_clicked(browser, "p-1")


def test_click_that_leads_away_at_once_arrives(browser: Browser) -> None:
    browser.write("other", "other")
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1><a id=link href='/other'>p-1</a></div>"
    )

    browser.find("link").click()

    browser.wait_for("clicks", 1)
    (said,) = browser.recorder.requests
    assert said["headers"]["Content-Type"].startswith("text/plain")
    assert said["headers"]["Sec-Fetch-Site"] == "same-origin"
    assert "/other" in browser.driver.current_url
    assert browser.get_kept() == []


PRODUCT = "<div id=p-7 class=card data-ts-product=p-7 data-ts-resolved-bid=inherit{}>p-7</div>"
LANDING = PRODUCT.format(" data-ts-action=landing")


@pytest.mark.parametrize(
    "banner",
    [
        "<div id=banner data-ts-resolved-bid=bid-1>",
        "<div id=banner data-ts-resolved-bid=bid-1 data-ts-product=p-7 data-ts-banner>",
    ],
)
def test_banner_is_remembered_in_a_new_tab(browser: Browser, banner: str) -> None:
    browser.write("landing", LANDING)
    browser.open(f"{banner}<a id=link href='/landing' target=_blank>banner</a></div>")

    browser.find("link").click()
    wait_until(lambda: len(browser.driver.window_handles) == 2, "a new tab")
    browser.driver.switch_to.window(browser.driver.window_handles[1])
    browser.tell("Page.bringToFront")
    browser.wait_for("clicks", 2)
    browser.wait_for("impressions", 2)

    first, second = browser.recorder.get("clicks")
    assert first["resolvedBidId"] == "bid-1"
    assert "additionalAttribution" not in first
    for event in (second, browser.recorder.get("impressions")[1]):
        assert event["resolvedBidId"] == "bid-1"
        assert event["additionalAttribution"] == {"type": "product", "id": "p-7"}
        assert event["placement"] == {"path": "/landing"}
        assert "entity" not in event


def test_landing_is_one_click_for_each_click_of_the_banner(browser: Browser) -> None:
    browser.write("landing", LANDING)
    browser.open(f"<div id=banner data-ts-resolved-bid=bid-1>banner</div>{STAY}")
    browser.find("banner").click()

    browser.go("landing")
    browser.wait_for_said("clicks", "p-7")
    browser.go("landing")
    browser.wait_for_said("impressions", "p-7")

    assert browser.get_said("clicks") == []


def test_banner_behind_a_signed_link_is_remembered(browser: Browser) -> None:
    browser.write("product", PRODUCT.format(""))
    browser.open(
        "<div id=banner data-ts-resolved-bid=bid-1>"
        f"<a id=link href='/topsort/click/token'>banner</a></div>{STAY}"
    )
    browser.find("link").click()
    assert browser.get_said("clicks") == []

    browser.go("product")
    browser.find("p-7").click()

    wait_until(lambda: get_clicks(browser), "a click")
    (event,) = get_clicks(browser)
    assert event["resolvedBidId"] == "bid-1"
    assert event["additionalAttribution"] == {"type": "product", "id": "p-7"}


def test_banner_is_forgotten_after_half_an_hour(browser: Browser) -> None:
    browser.write("landing", LANDING)
    browser.open(f"<div id=banner data-ts-resolved-bid=bid-1>banner</div>{STAY}")
    browser.find("banner").click()
    browser.run(
        "const banner = JSON.parse(localStorage['topsort:banner']); banner.at -= 31 * 60e3;"
        "localStorage['topsort:banner'] = JSON.stringify(banner)"
    )

    browser.go("landing")
    browser.wait_for_said("impressions", "p-7")

    (event,) = [said["event"] for said in browser.run("return said")]
    assert event["entity"] == {"type": "product", "id": "p-7"}
    assert "resolvedBidId" not in event


def test_landing_counts_on_the_next_page_alone(browser: Browser) -> None:
    browser.write("landing", LANDING)
    browser.write("list", "a list")
    browser.open(f"<div id=banner data-ts-resolved-bid=bid-1>banner</div>{STAY}")
    browser.find("banner").click()

    browser.go("list")
    browser.go("landing")  # by another way
    browser.wait_for_said("impressions", "p-7")

    (event,) = [said["event"] for said in browser.run("return said")]
    assert event["entity"] == {"type": "product", "id": "p-7"}
    assert "resolvedBidId" not in event


def test_marking_text_is_no_click(browser: Browser) -> None:
    browser.open(
        "<div id=p-1 class=card data-ts-product=p-1><span id=text>some words to be read</span>"
        "<button id=buy data-ts-product=p-2>buy</button></div>"
    )
    text = browser.find("text")

    actions = ActionChains(browser.driver).move_to_element_with_offset(text, -40, 0)
    actions.click_and_hold().move_by_offset(60, 0).release().perform()

    assert browser.run("return String(getSelection())")
    browser.find("buy").click()  # a button is one, whatever is marked elsewhere
    wait_until(lambda: browser.get_said("clicks"), "a click")
    assert browser.get_said("clicks") == ["buy"]


def test_quick_clicks_on_two_cards_are_two(browser: Browser) -> None:
    cards = "".join(f"<div id={name} class=card data-ts-product={name}>x</div>" for name in "ab")
    browser.open(cards)
    first, second = browser.find("a"), browser.find("b")

    ActionChains(browser.driver, duration=0).click(first).click(second).perform()

    wait_until(lambda: len(browser.get_said("clicks")) == 2, "two clicks")
    assert browser.get_said("clicks") == ["a", "b"]
