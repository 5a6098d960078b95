"""What the script of a page does, for a browser that runs none: it reads the attributes and posts.

It sees everything at once, as nobody scrolls here; the rest is as in a browser.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit


class Request(NamedTuple):
    """What a browser posts to the shop; `told` are the ids and kinds of the events in it."""

    url: str
    headers: dict[str, str]
    body: str
    told: dict[str, str]


@dataclass
class Banner:
    """The banner that was clicked last: where it leads, its bid counts."""

    bid: str
    has_landed: bool = False


class Script:
    """One browser's script, which remembers the banner from page to page."""

    def __init__(self) -> None:
        self._banner: Banner | None = None

    def note_click(self, marks: Mapping[str, str]) -> None:
        """The link counts the click; a banner's is remembered."""
        if "data-ts-resolved-bid" in marks and "data-ts-product" not in marks:
            self._banner = Banner(marks["data-ts-resolved-bid"])

    def build_request(
        self, url: str, script: Mapping[str, str], shown: Iterable[Mapping[str, str]]
    ) -> Request:
        """What is told of the page at `url`; its script and what is shown have these attributes."""
        body: dict[str, list[dict[str, Any]]] = {"impressions": [], "clicks": [], "pageviews": []}
        if "data-ts-page" in script:
            body["pageviews"].append(begin_event() | {"page": json.loads(script["data-ts-page"])})
        for marks in shown:
            event = self._read(url, marks)
            body["impressions"].append(begin_event() | event)
            lands = marks.get("data-ts-action") == "landing" and "additionalAttribution" in event
            if lands and self._banner and not self._banner.has_landed:
                self._banner.has_landed = True
                body["clicks"].append(begin_event() | event)
        here = urlsplit(url)
        return Request(
            url=urljoin(url, script["data-ts-url"]),
            headers={
                "Content-Type": "text/plain;charset=UTF-8",
                "Origin": f"{here.scheme}://{here.netloc}",
                "Referer": url,
                "Sec-Fetch-Site": "same-origin",
            },
            body=json.dumps(body),
            told={event["id"]: kind for kind, events in body.items() for event in events},
        )

    def _read(self, url: str, marks: Mapping[str, str]) -> dict[str, Any]:
        placement = {
            "path": urlsplit(url).path,
            **json.loads(marks.get("data-ts-placement", "{}")),
        }
        if component := placement.pop("component", None):
            placement["path"] = f"{placement['path'].rstrip('/')}/{component}"
        event = {"placement": placement, **json.loads(marks.get("data-ts-fields", "{}"))}
        bid: str | None = marks.get("data-ts-resolved-bid")
        entity = {
            "type": marks.get("data-ts-entity-type", "product"),
            "id": marks.get("data-ts-product"),
        }
        if bid == "inherit":
            bid = self._banner.bid if self._banner else None
            if bid:
                event["additionalAttribution"] = entity
        return event | ({"resolvedBidId": bid} if bid else {"entity": entity})


def begin_event() -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "occurredAt": datetime.now(UTC).isoformat()}
