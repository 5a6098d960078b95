"""A browser without a window: it knows only the links, forms and tables that are on the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

from walkthrough.exceptions import DemoError

TIMEOUT = (3.05, 20)  # seconds, to connect and to read


@dataclass
class Element:
    """A link, a button or a cell: its attributes, and the text that a shopper reads on it."""

    attributes: dict[str, str]
    text: str = ""


@dataclass
class Form:
    attributes: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[Element] = field(default_factory=list)


class Page(HTMLParser):
    """A page that has been shown."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__()
        self.url = response.url
        self.redirects = [step.url for step in response.history]
        self.cards = 0
        self.bids: dict[str, str] = {}  # of each sponsored card: the bid, and the product
        self.links: list[Element] = []
        self.forms: list[Form] = []
        self.rows: list[list[Element]] = []
        self._open: list[tuple[str, Element]] = []  # what the text goes to now
        self._form: Form | None = None
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(attributes)
        if tag == "a":
            self.links.append(element)
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append(element)
        elif tag == "form":
            self._form = Form(attributes)
            self.forms.append(self._form)
        elif tag == "input" and self._form is not None and "name" in attributes:
            self._form.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "button" and self._form is not None:
            self._form.buttons.append(element)
        elif tag == "li" and "card" in attributes.get("class", "").split():
            self.cards += 1
            if "data-bid" in attributes:
                self.bids[attributes["data-bid"]] = attributes["data-product"]
        if tag in {"a", "td", "button"}:
            self._open.append((tag, element))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            _, element = self._open.pop()
            element.text = " ".join(element.text.split())
        if tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        for _, element in self._open:
            element.text += data + " "

    def get_link(self, text: str, *, but_not: str | None = None) -> Element:
        """The first link with this text in it."""
        for link in self.links:
            if text in link.text and (but_not is None or but_not not in link.text):
                return link
        raise DemoError(f"{self.url} has no link {text!r}")

    def get_form(self, button: str) -> tuple[Form, Element]:
        """The first form with such a button, and the button."""
        for form in self.forms:
            for each in form.buttons:
                if button in each.text:
                    return form, each
        raise DemoError(f"{self.url} has no form with the button {button!r}")


class Browser:
    """One shopper's browser: it keeps cookies, follows redirects and counts what it has shown."""

    def __init__(self, user_agent: str) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between us and this machine
        self._session.headers["User-Agent"] = user_agent
        self.pages = 0
        self.cards = 0
        self.bids: dict[str, str] = {}

    @property
    def cookies(self) -> dict[str, str]:
        return self._session.cookies.get_dict()

    def open(self, url: str) -> Page:
        return self._show("GET", url)

    def follow(self, page: Page, link: Element) -> Page:
        return self.open(urljoin(page.url, link.attributes["href"]))

    def submit(self, page: Page, button: str, values: dict[str, str] | None = None) -> Page:
        """Fill in the form that has this button, and press it."""
        form, pressed = page.get_form(button)
        values = values or {}
        if unknown := values.keys() - form.fields.keys():
            raise DemoError(f"{page.url} has no field {', '.join(sorted(unknown))}")
        data = form.fields | values
        if "name" in pressed.attributes:
            data[pressed.attributes["name"]] = pressed.attributes.get("value", "")
        url = urljoin(page.url, form.attributes.get("action", ""))
        if form.attributes.get("method", "get").lower() == "post":
            return self._show("POST", url, data=data)
        return self._show("GET", url, query=data)

    def _show(
        self,
        method: str,
        url: str,
        *,
        query: dict[str, str] | None = None,
        data: dict[str, str] | None = None,
    ) -> Page:
        try:
            response = self._session.request(method, url, params=query, data=data, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise DemoError(f"{method} {url} was not answered: {error}") from error
        if not response.ok:
            raise DemoError(f"{method} {response.url} answered {response.status_code}")
        page = Page(response)
        self.pages += 1
        self.cards += page.cards
        self.bids |= page.bids
        return page
