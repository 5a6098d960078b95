"""From the page to the endpoint: batches, beacons, and what is left when nothing gets through."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.browsers.chromium import Browser, start_chromium, wait_until
from tests.browsers.site.recording import HANG
from tests.browsers.test_seen import card

pytestmark = pytest.mark.browsers

QUIET = {"seconds": "60"}  # nothing is reported but what the test reports


def report(browser: Browser, kind: str, count: int = 1, size: int = 1) -> None:
    """Report events as a shop's own code would."""
    browser.run(
        "for (let i = 0; i < arguments[1]; i++) topsort.report(arguments[0],"
        " { entity: { type: 'product', id: 'p-' + i }, resolvedBidId: 'é'.repeat(arguments[2]) })",
        kind,
        count,
        size,
    )


def describe(browser: Browser) -> list[tuple[str, str, list[str]]]:
    """Return who sent which clicks: no-cors is a beacon, cors a request."""
    return [
        (
            said["headers"]["Sec-Fetch-Mode"],
            said["headers"]["Referer"],
            [event["id"] for event in said["body"].get("clicks", [])],
        )
        for said in browser.recorder.requests
    ]


def get_sizes(browser: Browser) -> list[int]:
    return [
        sum(len(events) for events in said["body"].values()) for said in browser.recorder.requests
    ]


def test_events_of_a_second_are_one_request(browser: Browser) -> None:
    browser.open(card("p-1") + card("p-2"), page='{"type": "home", "pageId": "home"}')

    browser.wait_for("impressions", 2)

    (said,) = browser.recorder.requests
    assert sorted(said["body"]) == ["impressions", "pageviews"]
    assert said["headers"]["Content-Type"].startswith("text/plain")
    assert said["headers"]["Sec-Fetch-Site"] == "same-origin"
    assert said["query"] == ""
    assert browser.recorder.get("pageviews")[0]["page"] == {"type": "home", "pageId": "home"}
    wait_until(lambda: browser.get_kept() == [], "nothing is kept")


def test_fifty_events_do_not_wait(browser: Browser) -> None:
    browser.open("", **QUIET)

    report(browser, "impressions", 120)

    browser.wait_for("impressions", 120)
    assert max(get_sizes(browser)) == 50


def test_large_events_go_in_several_beacons(browser: Browser) -> None:
    browser.open("", **QUIET)

    report(browser, "impressions", 40, size=2000)
    browser.go("nowhere")

    # What a browser does not let go of at once is sent by the next page.
    browser.open("", **QUIET)
    browser.wait_for("impressions", 40)
    assert max(said["size"] for said in browser.recorder.requests) <= 65536
    assert len(set(browser.recorder.get_posted("impressions"))) == 40


@pytest.mark.parametrize("status", [400, 403, 413, 415])
def test_refused_events_are_not_sent_again(browser: Browser, status: int) -> None:
    browser.recorder.fault = status
    browser.open("", **QUIET)

    report(browser, "clicks")
    wait_until(lambda: browser.recorder.requests, "a request")

    wait_until(lambda: browser.get_kept() == [], "nothing is kept")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_events_are_sent_again_when_the_server_is_well(browser: Browser, status: int) -> None:
    browser.recorder.fault = status
    browser.open("", **QUIET)
    report(browser, "clicks", 3)
    wait_until(lambda: browser.recorder.requests, "a request")
    first = browser.recorder.get_posted("clicks")

    browser.recorder.fault = None
    browser.wait_for("clicks", 3)

    assert [event["id"] for event in browser.recorder.get("clicks")] == first
    wait_until(lambda: browser.get_kept() == [], "nothing is kept")


def test_what_could_not_be_sent_is_sent_by_the_next_page(browser: Browser) -> None:
    browser.recorder.fault = 503
    browser.open("", **QUIET)
    report(browser, "clicks")
    wait_until(lambda: browser.recorder.requests, "a request")
    wait_until(browser.get_kept, "it is kept")
    browser.run("return topsort.flush()")
    report(browser, "impressions")

    browser.go("nowhere")
    browser.recorder.fault = None
    browser.open("", **QUIET)

    browser.wait_for("impressions", 1)
    browser.wait_for("clicks", 1)
    assert len(set(browser.recorder.get_posted("clicks"))) == 1
    assert len(browser.recorder.get_posted("impressions")) == 1  # no beacon went into the void


def test_events_made_offline_arrive_later(browser: Browser) -> None:
    browser.open(card("p-1"), seconds="0.3")
    browser.go_offline()
    wait_until(lambda: not browser.run("return navigator.onLine"), "offline")
    browser.wait_for_said("impressions", "p-1")
    report(browser, "clicks", 2)
    browser.run("return topsort.flush()")
    kept = {event["id"] for _, event in browser.get_kept()}
    assert len(kept) == 3

    browser.go_offline(False)

    browser.wait_for("clicks", 2)
    browser.wait_for("impressions", 1)
    taken = [*browser.recorder.get("clicks"), *browser.recorder.get("impressions")]
    assert Counter(event["id"] for event in taken) == dict.fromkeys(kept, 1)


def test_page_left_while_the_server_hangs_loses_nothing(browser: Browser) -> None:
    browser.recorder.fault = HANG
    browser.open("", **QUIET)
    report(browser, "clicks")
    browser.run("topsort.flush()")
    wait_until(lambda: browser.recorder.requests, "a request")
    assert browser.get_kept()

    browser.go("nowhere")
    browser.recorder.fault = None
    browser.recorder.let_go.set()
    browser.open("", **QUIET)

    browser.wait_for("clicks", 1)
    assert len(set(browser.recorder.get_posted("clicks"))) == 1
    wait_until(lambda: browser.get_kept() == [], "nothing is kept")


def test_two_tabs_send_all_and_each_event_under_one_id(browser: Browser) -> None:
    browser.recorder.fault = 503
    browser.open("", **QUIET)
    report(browser, "clicks", 5)
    browser.run("return topsort.flush()")
    wait_until(lambda: browser.recorder.requests, "a request")
    browser.recorder.requests.clear()
    browser.driver.switch_to.new_window("tab")
    browser.open("", address="second", **QUIET)
    report(browser, "clicks", 5)
    browser.recorder.fault = None

    # Both want to, at the same time.
    for handle in browser.driver.window_handles:
        browser.driver.switch_to.window(handle)
        browser.run("topsort.flush()")
    browser.wait_for("clicks", 10)

    # What one tab removes the other sees a moment later, so that a few may come twice.
    wait_until(lambda: browser.get_kept() == [], "nothing is kept")
    clicks = {event["id"]: event for event in browser.recorder.get("clicks")}
    assert len(clicks) == 10
    assert all(event == clicks[event["id"]] for event in browser.recorder.get("clicks"))


def test_only_so_much_is_kept_and_clicks_longest(browser: Browser) -> None:
    browser.recorder.fault = 503
    browser.open("", **QUIET)
    report(browser, "clicks", 20)
    browser.run("return topsort.flush()")

    for _ in range(10):
        report(browser, "impressions", 50)
    browser.run("return topsort.flush()")

    wait_until(lambda: len(browser.get_kept()) == 250, "250 are kept")
    kinds = Counter(kind for kind, _ in browser.get_kept())
    assert kinds == {"impressions": 230, "clicks": 20}


def test_events_older_than_a_day_are_dropped(browser: Browser) -> None:
    browser.open("", **QUIET)
    browser.run(
        "for (const [hours, id] of [[25, 'old'], [23, 'young']]) {"
        "  const made = Date.now() - hours * 36e5;"
        "  localStorage[`topsort:event:1${made}${id}`] = JSON.stringify(['clicks', { id }]);"
        "}"
        "localStorage['topsort:event:1' + Date.now() + 'broken'] = 'broken{';"
    )

    browser.run("return topsort.flush()")

    browser.wait_for("clicks", 1)
    assert browser.recorder.get_posted("clicks") == ["young"]
    assert browser.get_kept() == []


def fill_storage(browser: Browser) -> None:
    browser.run(
        "let text = 'x'.repeat(2 ** 20);"
        "for (let i = 0; text; i++) {"
        "  try { localStorage['shop' + i] = text } catch { text = text.slice(text.length / 2 + 1) }"
        "}"
        "try { for (let i = 0; ; i++) localStorage['s' + i] = 'x' } catch {}"
    )


def test_full_storage_costs_no_event(browser: Browser) -> None:
    browser.open("", **QUIET)
    fill_storage(browser)

    report(browser, "clicks", 3)

    browser.wait_for("clicks", 3)


def test_forbidden_storage_costs_no_event(base: str, browser: Browser) -> None:
    driver = start_chromium(**{"profile.default_content_setting_values.cookies": 2})
    try:
        private = Browser(driver, base, "", browser.recorder)
        private.endpoint = browser.endpoint
        private.open(card("p-1"))
        assert private.run("try { return !localStorage } catch { return true }")
        private.wait_for("impressions", 1)
        report(private, "clicks")
        private.go("nowhere")
        private.wait_for("clicks", 1)
    finally:
        driver.quit()


def test_ids_without_a_secure_context(browser: Browser) -> None:
    browser.write("page", card("p-1"))
    found: dict[str, Any] = browser.tell(
        "Page.addScriptToEvaluateOnNewDocument", source="crypto.randomUUID = undefined"
    )
    try:
        browser.go("page")
        browser.wait_for("impressions", 1)
    finally:
        browser.tell("Page.removeScriptToEvaluateOnNewDocument", **found)

    (event,) = browser.recorder.get("impressions")
    assert float(event["id"]) < 1  # the endpoint makes a hash of it


def test_automated_browser_says_so(base: str, browser: Browser) -> None:
    found: dict[str, Any] = browser.tell(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(navigator, 'webdriver', { value: true })",
    )
    try:
        browser.open(card("p-1"))
        browser.wait_for("impressions", 1)
    finally:
        browser.tell("Page.removeScriptToEvaluateOnNewDocument", **found)

    assert [said["query"] for said in browser.recorder.requests] == ["automated=1"]


def test_event_of_the_shop_has_an_id_and_a_time(browser: Browser) -> None:
    browser.open("", **QUIET)

    browser.run("topsort.report('pageviews', { page: { type: 'PDP', pageId: 'p-1' } })")

    browser.wait_for("pageviews", 1)
    (event,) = browser.recorder.get("pageviews")
    assert event["page"] == {"type": "PDP", "pageId": "p-1"}
    assert len(event["id"]) == 36
    assert event["occurredAt"].endswith("Z")
    assert event == browser.run("return said[0].event")


ODD = [
    "{}",
    "5",
    "null",
    "nonsense",
    '["__proto__", {"a": 1}]',
    '["constructor", {}]',
    '["clicks"]',
]


@pytest.mark.parametrize("text", ODD)
def test_odd_entry_in_the_storage_stops_nothing(browser: Browser, text: str) -> None:
    browser.go("nowhere")
    browser.run("localStorage['topsort:event:0' + Date.now() + 'z'] = arguments[0]", text)

    browser.open(card("p-1"), **QUIET)
    report(browser, "clicks", 2)

    browser.wait_for("clicks", 2)
    wait_until(lambda: browser.get_kept() == [], "nothing is kept")


def test_full_storage_does_not_hold_back_what_it_keeps(browser: Browser) -> None:
    browser.recorder.fault = 503
    browser.open("", **QUIET)
    report(browser, "clicks", 2)
    browser.run("return topsort.flush()")
    wait_until(lambda: browser.recorder.requests, "a request")
    fill_storage(browser)
    browser.recorder.fault = None

    browser.open("", page='{"type": "home", "pageId": "home"}', **QUIET)

    browser.wait_for("pageviews", 1)
    browser.wait_for("clicks", 2)
