"""Topsort's own analytics.js, with the shop's endpoint in the place of Topsort's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_topsort.backends import locmem
from django_topsort.events import Click, Impression, Purchase
from tests.browsers.chromium import Browser, wait_until
from tests.browsers.npm import install
from tests.browsers.site.urls import NONCE, files, pages
from tests.browsers.test_seen import card

pytestmark = pytest.mark.browsers

SDK = "@topsort/sdk@0.3.8"  # what analytics.js 2.9 is built with
ITEMS = '[{"product": "p-1", "quantity": 2, "price": "12.50"}]'


@pytest.fixture(scope="module")
def analytics(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script in one piece: what ``TOPSORT_ANALYTICS_JS`` names, or a build of it."""
    named = os.environ.get("TOPSORT_ANALYTICS_JS")
    if not named:
        pytest.skip("TOPSORT_ANALYTICS_JS names neither ts.iife.js nor a checkout of analytics.js")
    source = Path(named)
    if source.is_file():
        return source.read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("analytics")
    install(folder, SDK, "esbuild")
    shutil.copytree(source / "src", folder / "source" / "src")
    shutil.copy(source / "package.json", folder / "source")
    subprocess.run(
        ["node_modules/.bin/esbuild", "source/src/detector.ts", "--bundle", "--outfile=ts.iife.js"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return (folder / "ts.iife.js").read_text(encoding="utf-8")


def open_page(browser: Browser, analytics: str, body: str, address: str = "shop") -> None:
    """Open a page that has analytics.js as a shop would have it."""
    files["ts.iife.js"] = analytics
    pages[address] = (
        "<!doctype html><meta charset=utf-8>"
        f"<style nonce={NONCE}>.card {{ height: 100px }}</style><script nonce={NONCE}>"
        f"window.TS = {{ url: '{browser.base}/topsort', token: 'unused' }};</script>"
        f"<script src=/static/ts.iife.js defer></script><body>{body}"
    )
    browser.go(address)


def wait_for(kind: type[Any], count: int) -> list[Any]:
    """Return the events of a kind that the endpoint has recorded."""

    def get() -> list[Any]:
        return [event for event in locmem.outbox if isinstance(event, kind)]

    wait_until(lambda: len(get()) >= count, f"{count} of {kind.__name__}")
    assert len(get()) == count
    return get()


def test_seen_and_clicked_elements_arrive(browser: Browser, analytics: str) -> None:
    open_page(browser, analytics, card("p-1") + card("p-2", resolved_bid="bid-2"))
    impressions = wait_for(Impression, 2)

    browser.find("p-2").click()

    (click,) = wait_for(Click, 1)
    organic = next(event for event in impressions if event.entity)
    promoted = next(event for event in impressions if event.resolved_bid_id)
    assert organic.entity.id == "p-1"
    assert promoted.resolved_bid_id == click.resolved_bid_id == "bid-2"
    assert {event.placement.path for event in (*impressions, click)} == {"/shop"}
    assert len({event.opaque_user_id for event in (*impressions, click)}) == 1
    assert organic.device_type == "desktop"


def test_query_string_does_not_arrive(browser: Browser, analytics: str) -> None:
    open_page(browser, analytics, "")
    pages["shop"] += card("p-1")

    browser.go("shop?email=me@example.com")

    (event,) = wait_for(Impression, 1)
    assert event.placement.path == "/shop"


def test_banner_is_inherited(browser: Browser, analytics: str) -> None:
    open_page(
        browser,
        analytics,
        "<div id=banner class=card data-ts-resolved-bid=bid-1>banner</div>"
        + card("p-7", resolved_bid="inherit"),
    )
    browser.find("banner").click()
    wait_for(Click, 1)

    browser.find("p-7").click()

    click = wait_for(Click, 2)[1]
    assert click.resolved_bid_id == "bid-1"
    assert click.additional_attribution is not None
    assert click.additional_attribution.id == "p-7"


@override_settings(TOPSORT_BROWSER_EVENTS=["impressions", "clicks", "pageviews", "purchases"])
def test_purchase_arrives_where_it_is_allowed(browser: Browser, analytics: str) -> None:
    bought = f"<p data-ts-action=purchase data-ts-items='{ITEMS}'>thanks</p>"

    open_page(browser, analytics, bought)
    (purchase,) = wait_for(Purchase, 1)
    browser.driver.refresh()
    again = wait_for(Purchase, 2)[1]

    (item,) = purchase.items
    assert (item.product_id, item.quantity, f"{item.unit_price}") == ("p-1", 2, "12.50")
    assert again.id == purchase.id  # a thank-you page that is loaded again is the same purchase


def test_purchase_is_left_out_by_default(browser: Browser, analytics: str) -> None:
    bought = f"<p data-ts-action=purchase data-ts-items='{ITEMS}'>thanks</p>"

    open_page(browser, analytics, bought + card("p-1"))

    wait_for(Impression, 1)
    assert [event for event in locmem.outbox if isinstance(event, Purchase)] == []
