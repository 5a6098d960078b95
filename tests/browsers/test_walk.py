"""From the page to the outbox, by way of the real endpoint."""

from __future__ import annotations

import pytest

from django_topsort.backends import locmem
from django_topsort.events import Click, Impression, PageView
from tests.browsers.chromium import USER_AGENT, Browser, wait_until
from tests.browsers.test_seen import card

pytestmark = pytest.mark.browsers

ENDPOINT = "/topsort/v2/events"


def test_browser_reports_to_the_real_endpoint(browser: Browser) -> None:
    browser.write("other", "other")
    browser.open(
        card("p-1", placement='{"position": 1, "component": "carousel"}')
        + "<div id=p-2 class=card data-ts-product=p-2 data-ts-resolved-bid=bid-2>"
        "<a id=link href='/other'>p-2</a></div>",
        endpoint=ENDPOINT,
        page='{"type": "category", "pageId": "kitchen"}',
    )
    browser.wait_for_said("impressions", "p-1", "p-2")
    browser.find("link").click()

    wait_until(lambda: len(locmem.outbox) == 4, "four events")

    by_kind = {type(event): event for event in locmem.outbox}
    impressions = [event for event in locmem.outbox if isinstance(event, Impression)]
    assert {
        event.entity.id if event.entity else event.resolved_bid_id for event in impressions
    } == {
        "p-1",
        "bid-2",
    }
    (first,) = [event for event in impressions if event.entity]
    assert first.placement is not None
    assert (first.placement.path, first.placement.position) == ("/page/carousel", 1)
    click, view = by_kind[Click], by_kind[PageView]
    assert isinstance(click, Click)
    assert click.resolved_bid_id == "bid-2"
    assert isinstance(view, PageView)
    assert view.page.page_id == "kitchen"
    shoppers = {event.opaque_user_id for event in locmem.outbox}
    assert len(shoppers) == 1
    (cookie,) = browser.driver.get_cookies()
    assert {cookie["value"]} == shoppers
    assert "HeadlessChrome" not in USER_AGENT
