"""The shoppers of the demo, and what Topsort should hear of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from walkthrough.browser import Browser, Element, Page
from walkthrough.exceptions import DemoError

DESKTOP = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
CLICK_LINK = "/topsort/click/"


OpenBrowser = Callable[[str], Browser]


@dataclass(frozen=True)
class Visit:
    """What a shopper did, as the shopper knows it."""

    who: str
    opaque_user_id: str
    told: dict[str, str]  # what the browser has said: ids and kinds of events
    clicks: int  # by links that count them
    order: list[tuple[int, Decimal]]  # quantity and price of each line, as on the thank-you page
    total: Decimal
    bids: dict[str, str]  # which product each bid was for, as the shop's pages say it

    @property
    def expected(self) -> dict[str, int]:
        told = Counter(self.told.values())
        return {
            "impressions": told["impressions"],
            "clicks": told["clicks"] + self.clicks,
            "purchases": 1,
            "pageviews": told["pageviews"],
        }


def visit_as_guest(shop_url: str, open_browser: OpenBrowser) -> Visit:
    """Come by a banner, search, take something sponsored and something else, order, pay."""
    browser = open_browser(DESKTOP)
    page = browser.open(shop_url)
    page = click(browser, page, page.get_link("Sponsored by"))
    page = browser.follow(page, page.get_link("Kitchen"))
    page = browser.submit(page, "Search", {"q": "honey"})
    page = put_into_basket(browser, page, "Sponsored", quantity=2)
    page = browser.follow(page, page.get_link("Harbour Lane"))
    page = put_into_basket(browser, page, "Fell & Grain", quantity=1)
    page = browser.follow(page, page.get_link("To the checkout"))
    address = {
        "name": "Robin Guest",
        "email": "robin@example.org",
        "street": "Pier Road 7",
        "postcode": "1204",
        "city": "Harbourtown",
    }
    page = browser.submit(page, "Order for", address)
    page = browser.submit(page, "Pay")
    return build_visit("guest", browser, page, clicks=3)


def visit_as_customer(shop_url: str, open_browser: OpenBrowser) -> Visit:
    """Log in first, then buy something sponsored; the shop knows the name and the e-mail."""
    browser = open_browser(PHONE)
    page = browser.open(shop_url)
    page = browser.follow(page, page.get_link("Log in"))
    page = browser.submit(page, "Log in", {"username": "ada", "password": "harbour-lane"})
    page.get_form("Log out")
    page = browser.follow(page, page.get_link("Garden"))
    page = put_into_basket(browser, page, "Sponsored", quantity=1)
    page = browser.follow(page, page.get_link("To the checkout"))
    address = {"street": "Quay 3", "postcode": "1200", "city": "Harbourtown"}
    page = browser.submit(page, "Order for", address)
    page = browser.submit(page, "Pay")
    return build_visit("customer", browser, page, clicks=1)


def put_into_basket(browser: Browser, page: Page, card: str, *, quantity: int) -> Page:
    """Click a product on a list, and take it."""
    but_not = None if card == "Sponsored" else "Sponsored"
    page = click(browser, page, page.get_link(card, but_not=but_not))
    return browser.submit(page, "Add to basket", {"quantity": str(quantity)})


def click(browser: Browser, page: Page, link: Element) -> Page:
    """Follow a link that goes by way of the redirect that counts the click."""
    target = link.attributes["href"]
    page = browser.follow(page, link)
    if not urlsplit(target).path.startswith(CLICK_LINK) or CLICK_LINK in page.url:
        raise DemoError(f"the way to {page.url} counted no click: {target}")
    return page


def build_visit(who: str, browser: Browser, thanks: Page, *, clicks: int) -> Visit:
    """Read the order from the thank-you page: product, quantity, each, price; the total below."""
    if "/thanks/" not in thanks.url:
        raise DemoError(f"the order ended at {thanks.url}, not at the thank-you page")
    *lines, foot = [[cell.text for cell in row] for row in thanks.rows if row]
    return Visit(
        who=who,
        opaque_user_id=browser.cookies.get("tsuid", ""),
        told=browser.diary.told,
        clicks=clicks,
        order=[(int(quantity), read_euros(each)) for _, quantity, each, _ in lines],
        total=read_euros(foot[-1]),
        bids=browser.diary.bids,
    )


def read_euros(text: str) -> Decimal:
    return Decimal(text.removeprefix("€").replace(",", ""))
