"""The page of FakeApi: what it shows, and that nothing in it is run."""

from __future__ import annotations

import http.client
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from django_topsort.testing import page as page_module
from tests.testing.wire_format import (
    Answer,
    build_click,
    build_impression,
    build_item,
    build_pageview,
    build_purchase,
    post,
)

Connection = http.client.HTTPConnection
HOSTILE = "</script><img src=x onerror=\"alert('1')\">\x1b[31m&amp;"


def get(connection: Connection, path: str) -> Answer:
    connection.request("GET", path)
    return Answer(connection.getresponse())


def get_first_data(text: str) -> dict[str, Any]:
    """What the page shows at once: the data that are served within it."""
    (found,) = re.findall(
        r'<script [^>]*type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL
    )
    data = json.loads(found)
    assert isinstance(data, dict)
    return data


def get_data(connection: Connection) -> dict[str, Any]:
    answer = get(connection, "/events.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


class Elements(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_page_loads_nothing_from_elsewhere_and_runs_only_its_own_script(
    connection: Connection,
) -> None:
    answer = get(connection, "/")

    text = answer.body.decode()
    policy = answer.headers["Content-Security-Policy"]
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
    elements = Elements(text).found
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert {attrs.get("nonce") for tag, attrs in elements if tag in {"script", "style"}} == {nonce}
    used = {name for _, attrs in elements for name in attrs}
    assert not used & {"src", "href", "style", "onclick"}
    assert "http" not in text
    assert "{{" not in text


def test_page_gets_a_new_nonce_each_time(connection: Connection) -> None:
    policies = [get(connection, "/").headers["Content-Security-Policy"] for _ in range(2)]

    assert policies[0] != policies[1]


def test_page_shows_hostile_events_as_text_only(connection: Connection) -> None:
    entity = {"type": "product", "id": HOSTILE}
    post(connection, {"impressions": [build_impression(id=HOSTILE, entity=entity)]})
    post(connection, {HOSTILE: []})

    text = get(connection, "/").body.decode()
    data = get_data(connection)

    # Nothing in the data ends the element that holds them, and the script sets them as text.
    assert get_first_data(text) == data
    assert {tag for tag, _ in Elements(text).found}.isdisjoint({"img"})
    assert text.count("</script>") == 2
    assert "\x1b" not in text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
    assert data["events"][0]["what"] == HOSTILE
    assert data["products"][0]["id"] == HOSTILE
    assert "onerror" in data["refused"][0]["body"]


def test_data_show_the_funnel_of_each_product(connection: Connection) -> None:
    vendor = {"type": "vendor", "id": "v-1"}
    shoe = {"type": "product", "id": "shoe-1"}
    post(
        connection,
        {
            "impressions": [
                build_impression(id="1"),
                build_impression(id="2", resolvedBidId="bid-1"),
                build_impression(id="3", entity=None, resolvedBidId="bid-2"),
                build_impression(id="4", entity=vendor),
            ],
            "clicks": [build_click(id="5"), build_click(id="6", resolvedBidId="bid-2")],
            "purchases": [
                build_purchase(items=[build_item(quantity=3), build_item(productId="sock-1")])
            ],
            "pageviews": [build_pageview()],
        },
    )

    data = get_data(connection)

    # bid-1 is known to be shoe-1, from the impression that names both.
    assert shoe["id"] == "shoe-1"
    counts = {
        (row["type"], row["id"]): (row["impressions"], row["clicks"], row["purchases"])
        for row in data["products"]
    }
    assert counts == {
        ("product", "shoe-1"): (2, 1, 3),
        ("product", "sock-1"): (0, 0, 1),
        ("bid", "bid-2"): (1, 1, 0),
        ("vendor", "v-1"): (1, 0, 0),
    }
    assert data["totals"] == {"impressions": 4, "clicks": 2, "purchases": 1, "pageviews": 1}
    assert data["products"][0]["id"] == "shoe-1"
    assert [event["kind"] for event in data["events"]][:2] == ["pageviews", "purchases"]
    assert [event["what"] for event in data["events"]][:2] == ["/shoes", "purchase-1"]
    assert data["events"][1]["event"]["items"][0]["unitPrice"] == "12.95"
    assert [event["sponsored"] for event in data["events"]][2:] == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]


def test_data_show_why_requests_were_refused_but_no_key(
    api: FakeApi, connection: Connection
) -> None:
    post(connection, {"clicks": [build_click(clickType="image")]})
    post(connection, {"clicks": [build_click()]})
    post(connection, {"clicks": []}, headers={"Authorization": "Bearer TSE_secret", "X": "y"})
    api.reset(times=1)
    with pytest.raises(ConnectionError):
        post(connection, {"clicks": [build_click()]})
    connection.close()

    answer = get(connection, "/events.json")

    data = json.loads(answer.body)
    assert [row["status"] for row in data["refused"]] == [400, 400]
    assert data["refused"][0]["verdict"] == "the request brings no event at all"
    assert data["refused"][1]["verdict"].startswith("clicks[0].clickType: 'image' is not allowed")
    assert [row["verdict"] for row in data["lost"]] == ["the connection was reset"]
    assert (data["requests"], data["failed"], data["repeated"]) == (4, 3, 0)
    assert b"TSE_" not in answer.body


def test_page_shows_at_once_what_has_come(connection: Connection) -> None:
    post(connection, {"clicks": [build_click(opaqueUserId="{{ nonce }} {{ data }}")]})

    data = get_first_data(get(connection, "/").body.decode())

    assert data == get_data(connection)
    assert data["events"][0]["event"]["opaqueUserId"] == "{{ nonce }} {{ data }}"
    assert get(connection, f"/events.json?after={data['version']}").status == 204


def test_data_have_the_last_event_to_arrive_first(connection: Connection) -> None:
    noon, later = "2026-03-01T12:00:00.25+01:00", "2026-03-01T11:00:00.5Z"
    first = "0001-01-01T00:00:00+23:00"
    post(connection, {"clicks": [build_click(id="1", occurredAt="9999-12-31T23:59:59-23:00")]})
    post(
        connection,
        {
            "impressions": [build_impression(id="2", occurredAt=later)],
            "clicks": [build_click(id=id_, occurredAt=noon) for id_ in ("3", "4")],
            "pageviews": [build_pageview(id="5", occurredAt=first)],
        },
    )

    assert [row["event"]["id"] for row in get_data(connection)["events"]] == list("24351")


def test_data_show_which_events_came_together(connection: Connection) -> None:
    together = {"impressions": [build_impression(id="i1")], "clicks": [build_click(id="c1")]}
    post(connection, together)
    post(connection, {"pageviews": [build_pageview(id="v1")]})

    requests = {row["event"]["id"]: row["request"] for row in get_data(connection)["events"]}
    assert requests == {"i1": 1, "c1": 1, "v1": 2}


@pytest.mark.parametrize(
    ("items", "shown", "amount"),
    [
        ([build_item(quantity=3)], "3 shoe-1", "38.85"),
        ([build_item(unitPrice=7), build_item(productId="sock-1")], "1 shoe-1, 1 sock-1", "19.95"),
        ([build_item()] * 4, "1 shoe-1, 1 shoe-1, 1 shoe-1, 1 item more", "51.80"),
        ([build_item()] * 5, "1 shoe-1, 1 shoe-1, 1 shoe-1, 2 items more", "64.75"),
        ([build_item(unitPrice=1e300)], "1 shoe-1", "1E+300"),
    ],
)
def test_data_show_the_number_and_the_amount_of_a_purchase(
    connection: Connection, items: list[dict[str, Any]], shown: str, amount: str
) -> None:
    post(connection, {"purchases": [build_purchase(id="HL-1", items=items)]})

    (row,) = get_data(connection)["events"]

    assert (row["type"], row["what"]) == ("purchase", "HL-1")
    assert (row["items"], row["amount"]) == (shown, amount)


def test_data_are_sent_only_when_they_have_changed(connection: Connection) -> None:
    version = get_data(connection)["version"]

    unchanged = get(connection, f"/events.json?after={version}")
    post(connection, {"clicks": [build_click()]})
    changed = get(connection, f"/events.json?after={version}")

    assert (unchanged.status, unchanged.body) == (204, b"")
    assert changed.status == 200
    assert json.loads(changed.body)["version"] > version


def test_data_are_limited_to_the_latest(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "SHOWN", 2)
    monkeypatch.setattr(page_module, "SHOWN_PRODUCTS", 2)
    for number in range(3):
        entity = {"type": "product", "id": f"shoe-{number}"}
        post(connection, {"impressions": [build_impression(id=str(number), entity=entity)]})
        post(connection, b"{")

    data = get_data(connection)

    assert [event["what"] for event in data["events"]] == ["shoe-2", "shoe-1"]
    assert (len(data["refused"]), len(data["products"])) == (2, 2)
    assert data["failed"] == 3


def test_looking_at_the_page_is_no_request_of_its_own(api: FakeApi, connection: Connection) -> None:
    get(connection, "/")
    get(connection, "/events.json")

    assert api.requests == []
