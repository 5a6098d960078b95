"""A browser as far as HTTP goes: cookies, links, forms, and what the script of a page posts."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Page(HTMLParser):
    """What stands in a page: links and buttons by their text, forms, and what has ``data-ts-*``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.buttons: dict[str, dict[str, Any]] = {}
        self.tagged: list[dict[str, str]] = []
        self.scripts: list[dict[str, str]] = []
        self._form: dict[str, Any] = {"action": "", "fields": {}}
        self._open: tuple[str, dict[str, str]] | None = None
        self._text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "script":
            self.scripts.append(said)
        elif "data-ts-product" in said:
            self.tagged.append(said)
        if tag == "form":
            self._form = {"action": said.get("action", ""), "fields": {}}
        elif tag == "input":
            self._form["fields"][said["name"]] = said.get("value", "")
        elif tag in ("a", "button"):
            self._open, self._text = (tag, said), ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if self._open is None or tag != self._open[0]:
            return
        if tag == "a":
            self.links[self._text.strip()] = self._open[1]["href"]
        else:
            self.buttons[self._text.strip()] = self._form
        self._open = None


class HttpShopper:
    """Opens pages, follows links, sends forms, and posts what the script of a page would post."""

    def __init__(self) -> None:
        self.opener = build_opener(HTTPCookieProcessor())
        self.opener.addheaders = [("User-Agent", AGENT)]
        self.url = ""
        self.page = Page("")

    def open(self, url: str, data: bytes | None = None) -> None:
        """Go to an address; the script of the page reports the page."""
        with self.opener.open(Request(url, data), timeout=20) as answer:
            self.page, self.url = Page(answer.read().decode()), answer.url
        for script in self.page.scripts:
            with self.opener.open(urljoin(self.url, script["src"]), timeout=20) as answer:
                assert b"data-ts-" in answer.read()
            if page := script.get("data-ts-page"):
                self.post(script, pageviews=[self.build(page=json.loads(page))])

    def look(self, seconds: float) -> None:
        """See all that the page shows; the script reports it."""
        for script in self.page.scripts:
            shown = [
                self.build(
                    entity={"type": "product", "id": one["data-ts-product"]},
                    placement={
                        "path": urlsplit(self.url).path,
                        **json.loads(one["data-ts-placement"]),
                    },
                )
                for one in self.page.tagged
            ]
            self.post(script, impressions=shown)

    def click(self, text: str) -> None:
        """Follow the link with this text."""
        self.open(urljoin(self.url, self.page.links[text]))

    def press(self, text: str) -> None:
        """Send the form whose button has this text."""
        form = self.page.buttons[text]
        self.open(urljoin(self.url, form["action"]), urlencode(form["fields"]).encode())

    def build(self, **fields: Any) -> dict[str, Any]:
        """Return an event with an id of its own, of now."""
        return {"id": str(uuid.uuid4()), "occurredAt": datetime.now(UTC).isoformat(), **fields}

    def post(self, script: dict[str, str], **events: list[dict[str, Any]]) -> None:
        """Post events where the script's tag says."""
        address = urljoin(self.url, script["data-ts-url"])
        body = json.dumps(events).encode()
        headers = {"Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Site": "same-origin"}
        with self.opener.open(Request(address, body, headers), timeout=20) as answer:
            assert answer.status == 204
