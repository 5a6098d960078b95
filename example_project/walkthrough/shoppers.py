"""The shoppers of the demo, and what Topsort should hear of each."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from walkthrough.browser import Browser, Page
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


@dataclass(frozen=True)
class Visit:
    """What a shopper did, as the shopper knows it."""

    who: str
    opaque_user_id: str
    impressions: int
    clicks: int
    pageviews: int
    order: list[tuple[int, Decimal]]  # quantity and price of each line, as on the thank-you page
    total: Decimal
    bids: dict[str, str]  # which product each bid was for, as the shop's pages say it

    @property
    def expected(self) -> dict[str, int]:
        return {
            "impressions": self.impressions,
            "clicks": self.clicks,
            "purchases": 1,
            "pageviews": self.pageviews,
        }


def visit_as_guest(shop_url: str) -> Visit:
    """Browse, search, take what is sponsored and something else, order as a guest, pay."""
    browser = Browser(DESKTOP)
    page = browser.open(shop_url)
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
    return build_visit("guest", browser, page, clicks=2)


def visit_as_customer(shop_url: str) -> Visit:
    """Log in first, then buy something sponsored; the shop knows the name and the e-mail."""
    browser = Browser(PHONE)
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
    """Click a product on a list, which goes by way of the redirect that counts it, and take it."""
    but_not = None if card == "Sponsored" else "Sponsored"
    page = browser.follow(page, page.get_link(card, but_not=but_not))
    if not any(CLICK_LINK in url for url in page.redirects):
        raise DemoError(f"the way to {page.url} counted no click: {page.redirects}")
    return browser.submit(page, "Add to basket", {"quantity": str(quantity)})


def build_visit(who: str, browser: Browser, thanks: Page, *, clicks: int) -> Visit:
    """Read the order from the thank-you page: product, quantity, each, price; the total below."""
    if "/thanks/" not in thanks.url:
        raise DemoError(f"the order ended at {thanks.url}, not at the thank-you page")
    *lines, foot = [[cell.text for cell in row] for row in thanks.rows if row]
    return Visit(
        who=who,
        opaque_user_id=browser.cookies.get("tsuid", ""),
        impressions=browser.cards,
        clicks=clicks,
        pageviews=browser.pages,
        order=[(int(quantity), read_euros(each)) for _, quantity, each, _ in lines],
        total=read_euros(foot[-1]),
        bids=browser.bids,
    )


def read_euros(text: str) -> Decimal:
    return Decimal(text.removeprefix("€").replace(",", ""))
