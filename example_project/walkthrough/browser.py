"""What a shopper's browser does in the demo, and one without a window.

It knows only the links, forms and tables that are on a page, and what `topsort_attrs` and
`topsort_script` tell it to report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Protocol
from urllib.parse import urljoin

import requests

from walkthrough.exceptions import DemoError
from walkthrough.script import Script

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

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.url = url
        self.script: dict[str, str] = {}  # the attributes of the element that loads it
        self.shown: list[dict[str, str]] = []  # those of each element that topsort_attrs marks
        self.links: list[Element] = []
        self.forms: list[Form] = []
        self.rows: list[list[Element]] = []
        self._open: list[tuple[str, Element]] = []  # what the text goes to now
        self._form: Form | None = None
        self.feed(text)

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
        elif tag == "script" and "data-ts-url" in attributes:
            self.script = attributes
        if "data-ts-product" in attributes or "data-ts-resolved-bid" in attributes:
            self.shown.append(attributes)
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


class Browser(Protocol):
    """One shopper's browser: it keeps cookies, and notes what it has told the shop."""

    diary: Diary

    @property
    def cookies(self) -> dict[str, str]: ...

    def open(self, url: str) -> Page: ...

    def follow(self, page: Page, link: Element) -> Page: ...

    def submit(self, page: Page, button: str, values: Mapping[str, str] | None = None) -> Page:
        """Fill in the form that has this button, and press it."""

    def close(self) -> None: ...


class Diary:
    """What a browser has shown, and the events that it has told the shop: their ids and kinds."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.bids: dict[str, str] = {}  # of each sponsored product: the bid, and the product

    def note(self, page: Page, told: Mapping[str, str]) -> None:
        self.told |= told
        for marks in page.shown:
            product, bid = marks.get("data-ts-product"), marks.get("data-ts-resolved-bid")
            if product and bid and bid != "inherit":
                self.bids[bid] = product


class PlainBrowser:
    """A browser without a window and without JavaScript; what the script does, it does itself."""

    def __init__(self, user_agent: str) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between us and this machine
        self._session.headers["User-Agent"] = user_agent
        self._script = Script()
        self.diary = Diary()

    @property
    def cookies(self) -> dict[str, str]:
        return self._session.cookies.get_dict()

    def open(self, url: str) -> Page:
        return self._show("GET", url)

    def follow(self, page: Page, link: Element) -> Page:
        self._script.note_click(link.attributes)
        return self.open(urljoin(page.url, link.attributes["href"]))

    def submit(self, page: Page, button: str, values: Mapping[str, str] | None = None) -> Page:
        """Fill in the form that has this button, and press it."""
        form, pressed = page.get_form(button)
        values = values or {}
        if unknown := values.keys() - form.fields.keys():
            raise DemoError(f"{page.url} has no field {', '.join(sorted(unknown))}")
        data = {**form.fields, **values}
        if "name" in pressed.attributes:
            data[pressed.attributes["name"]] = pressed.attributes.get("value", "")
        url = urljoin(page.url, form.attributes.get("action", ""))
        if form.attributes.get("method", "get").lower() == "post":
            return self._show("POST", url, data=data)
        return self._show("GET", url, params=data)

    def close(self) -> None:
        self._session.close()

    def _show(self, method: str, url: str, **data: Any) -> Page:
        response = self._request(method, url, **data)
        page = Page(response.url, response.text)
        if not page.script:
            raise DemoError(f"{page.url} has no topsort_script")
        request = self._script.build_request(page.url, page.script, page.shown)
        self._request("POST", request.url, data=request.body.encode(), headers=request.headers)
        self.diary.note(page, request.told)
        return page

    def _request(self, method: str, url: str, **data: Any) -> requests.Response:
        try:
            response = self._session.request(method, url, timeout=TIMEOUT, **data)
        except requests.RequestException as error:
            raise DemoError(f"{method} {url} was not answered: {error}") from error
        if not response.ok:
            raise DemoError(f"{method} {response.url} answered {response.status_code}")
        return response
