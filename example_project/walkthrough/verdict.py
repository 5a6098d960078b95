"""What the fake API received, held against what the shoppers did: a table and a verdict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests

from walkthrough.exceptions import DemoError
from walkthrough.shoppers import Visit

KINDS = {  # in the order of a visit
    "pageviews": "page view",
    "impressions": "impression",
    "clicks": "click",
    "purchases": "purchase",
}
TAKEN = "204 taken"
HEAD = ("kind", "id", "user", "said by", "product", "status")


@dataclass(frozen=True)
class Event:
    """One event as the API took it."""

    kind: str
    fields: dict[str, Any]

    @property
    def bid(self) -> str | None:
        return self.fields.get("resolvedBidId")

    def is_like(self, other: Event) -> bool:
        """Whether both are about the same product, or the same bid."""
        names = ("entity", "resolvedBidId")
        return all(self.fields.get(name) == other.fields.get(name) for name in names)

    @property
    def items(self) -> list[tuple[int, Decimal]]:
        """Quantity and price of what was bought."""
        items = self.fields.get("items", [])
        return [(item.get("quantity", 1), Decimal(str(item["unitPrice"]))) for item in items]

    @property
    def total(self) -> Decimal:
        return sum((quantity * price for quantity, price in self.items), Decimal(0))

    def describe(self, bids: Mapping[str, str]) -> str:
        """What the event is about, in a few characters.

        A sponsored event names its bid only, so that the product is looked up in `bids`.
        """
        if self.kind == "purchases":
            ids = [item["productId"] for item in self.fields["items"]]
            lines = [
                f"{quantity} {id_}" for id_, (quantity, _) in zip(ids, self.items, strict=True)
            ]
            return f"{', '.join(lines)}: {self.total:.2f}"
        if self.kind == "pageviews":
            return f"{self.fields['page']['type']} {self.fields['page']['pageId']}"
        if self.bid and "additionalAttribution" in self.fields:
            return f"{self.fields['additionalAttribution']['id']} (banner's bid {self.bid[:4]}..)"
        if self.bid:
            return f"{bids.get(self.bid, 'banner')} (bid {self.bid[:4]}..)"
        return str(self.fields["entity"]["id"])


@dataclass(frozen=True)
class Received:
    """Everything that reached the API; what was refused is told as a reason for each request."""

    events: list[Event]
    refused: list[str]

    def count(self, visit: Visit) -> Counter[str]:
        return Counter(event.kind for event in self.get_events(visit))

    def get_events(self, visit: Visit, kind: str | None = None) -> list[Event]:
        return [
            event
            for event in self.events
            if event.fields["opaqueUserId"] == visit.opaque_user_id and kind in {None, event.kind}
        ]


def wait_for_events(api_url: str, visits: list[Visit], timeout: float = 20.0) -> Received:
    """Wait until the API has everything that the shoppers did, or the time (in seconds) is up."""
    deadline = time.monotonic() + timeout
    while True:
        received = fetch(api_url)
        complete = all(received.count(visit) >= Counter(visit.expected) for visit in visits)
        if complete or time.monotonic() > deadline:
            return received
        time.sleep(0.2)


def fetch(api_url: str) -> Received:
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands between us and this machine
        try:
            data = session.get(f"{api_url}/events.json", timeout=5).json()
        except requests.RequestException as error:
            raise DemoError(f"the fake API does not answer: {error}") from error
    return Received(
        events=[Event(each["kind"], each["event"]) for each in reversed(data["events"])],
        refused=[f"{each['status']} {each['verdict']}" for each in data["refused"]],
    )


def build_table(received: Received, visits: list[Visit]) -> str:
    """One event of each sort from the way of each shopper, and how many more there are."""
    rows: list[tuple[str, ...]] = [HEAD]
    for visit in visits:
        user = f"{shorten(visit.opaque_user_id)} ({visit.who})"
        chosen = choose_events(received, visit)
        for event in chosen:
            about = event.describe(visit.bids)
            said_by = "browser" if event.fields["id"] in visit.told else "shop"
            name = shorten(event.fields["id"])
            rows.append((KINDS[event.kind], name, user, said_by, about, TAKEN))
        more = received.count(visit) - Counter(event.kind for event in chosen)
        if more:
            rows.append(("more", "", user, "", say_counts(more), TAKEN))
    rows += [("refused", "", "", "", "", reason) for reason in received.refused]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    rows.insert(1, tuple("-" * width for width in widths))
    cells = ((cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in cells)


def choose_events(received: Received, visit: Visit) -> list[Event]:
    """The first page view, what was clicked on first, of each sort, and the purchase."""
    chosen = []
    clicks = received.get_events(visit, "clicks")
    for kind in KINDS:
        events = received.get_events(visit, kind)
        if kind == "impressions":
            # Those that were clicked come first: the same product and bid stand in both rows.
            events.sort(key=lambda event: not any(event.is_like(click) for click in clicks))
        if kind in {"impressions", "clicks"}:
            chosen += [event for event in events if not event.bid][:1]
            chosen += [event for event in events if event.bid in visit.bids][:1]
            if kind == "clicks":
                chosen += [event for event in events if "additionalAttribution" in event.fields]
        else:
            chosen += events[:1]
    return chosen


def get_complaints(received: Received, visits: list[Visit]) -> Iterator[str]:
    """Everything that is not as it should be, in words."""
    for visit in visits:
        counts = received.count(visit)
        for kind, count in visit.expected.items():
            if counts[kind] != count:
                made = say_count(count, KINDS[kind])
                yield f"the {visit.who} made {made}, Topsort has {counts[kind]}"
        if lost := visit.told.keys() - {event.fields["id"] for event in received.events}:
            yield f"of what the {visit.who}'s browser said {len(lost)} events did not arrive"
        seen = {event.bid for event in received.get_events(visit, "impressions") if event.bid}
        clicked = {event.bid for event in received.get_events(visit, "clicks") if event.bid}
        if counts["clicks"] and not (clicked and clicked <= seen):
            yield f"the {visit.who} clicked on the bids {sorted(clicked)}, and saw {sorted(seen)}"
        for purchase in received.get_events(visit, "purchases"):
            if sorted(purchase.items) != sorted(visit.order) or purchase.total != visit.total:
                yield f"the {visit.who} ordered {visit.order}, Topsort has {purchase.items}"
    users = {event.fields["opaqueUserId"] for event in received.events}
    if users != {visit.opaque_user_id for visit in visits} or len(users) != len(visits):
        yield f"{len(visits)} shoppers came, Topsort has the users {sorted(users)}"
    yield from (f"a request was refused: {reason}" for reason in received.refused)


def build_verdict(received: Received, visits: list[Visit]) -> tuple[bool, str]:
    """Whether all is well, and the lines that say so."""
    if complaints := list(get_complaints(received, visits)):
        return False, "NOT WELL: " + "; ".join(complaints)
    counts = Counter(event.kind for event in received.events)
    told = Counter(kind for visit in visits for kind in visit.told.values())
    return True, (
        f"The browsers said what was seen: {say_counts(told)}. "
        f"The shop said the rest: {say_counts(counts - told)}.\n"
        f"ALL IS WELL: {say_counts(counts)} arrived, each shopper under one id, "
        f"the amounts are those of the orders, nothing was refused."
    )


def say_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(
        say_count(counts[kind], name) for kind, name in KINDS.items() if counts.get(kind)
    )


def say_count(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def shorten(text: str) -> str:
    """The two ends of a long id; ids of one minute begin alike."""
    return text if len(text) <= 13 else f"{text[:4]}..{text[-6:]}"
