"""What a shop hands over by mistake: faults 73 to 75."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.faults.shop import KEY, check_books, run_shop
from tests.servers.serving import USER_AGENT, serve

pytestmark = pytest.mark.faults


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY, keep=100_000) as api:
        yield api


# What no value of an event may be. A page gives each of them to each field of each event.
WRONG = """
import math
from decimal import Decimal
from datetime import datetime
from types import SimpleNamespace

from django.test import RequestFactory
from django.utils.functional import lazystr

from django_topsort.events import *
from django_topsort.middleware import TopsortMiddleware
from django_topsort.tracking import *

class Unprintable:
    def __str__(self):
        raise RuntimeError("it would ask a database")
    __repr__ = __str__

circle = []
circle.append(circle)
VALUES = [
    b"bytes", {1, 2}, {"a": 1}, object(), Unprintable(), SimpleNamespace(), circle, print,
    math.nan, math.inf, -math.inf, 10 ** 200, -1, 1e300, Decimal("NaN"), Decimal("-Infinity"),
    "\\ud800", "x" * 3000, ["a", b"b"], [None], [["a"]], lazystr("x" * 3000),
]
request = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"}).get("/")

def visit(number):
    \"\"\"A page that gives a wrong value to everything, between two events that are right.\"\"\"
    value = VALUES[number]
    track_impression(request, f"before-{number}", id=f"before-{number}")
    for name in ("id", "opaque_user_id", "device_type", "channel", "resolved_bid_id", "position",
                 "page", "page_size", "path", "search_query", "external_vendor_id", "placement",
                 "entity", "event_page", "object", "entity_type", "unknown"):
        track_impression(request, f"p-{number}", **{name: value})
        track_click(request, f"p-{number}", **{name: value})
    track_click(request, "p", click_type=value)
    track_impression(request, value)
    track_click(request, value)
    track_pageview(request, value)
    track_pageview(request, "home", occurred_at=value)
    record(value)
    record(value, request)
    record(None)
    set_placement(request, unknown=value)
    set_placement(request)
    track_impression(value, "p")
    track_purchase(value)
    track_purchase(None)
    lines = [{"product": "p", "line_total": 1}]
    track_purchase({"number": value, "lines": lines}, opaque_user_id="u")
    track_purchase({"number": f"n-{number}", "lines": value}, opaque_user_id="u")
    for name in ("product", "quantity", "line_total"):
        line = {"product": "p", "quantity": 1, "line_total": "1.00", name: value}
        order = {"number": f"{name}-{number}", "lines": [line]}
        track_purchase(order, opaque_user_id="u")
    track_click(request, f"after-{number}", id=f"after-{number}")
"""


def test_fault_73_values_that_no_event_can_have_break_no_page(api: FakeApi) -> None:
    told = run_shop(
        f"""{WRONG}
for number in range(len(VALUES)):
    visit(number)
tell(values=len(VALUES))
""",
        api,
    )

    # FakeApi is strict: what is wrong would have come back as rejected.
    assert told.faults == []
    assert told.rejected == []
    assert told.is_empty
    taken = {event["id"] for event in api.events}
    for number in range(told.facts["values"]):
        assert {f"before-{number}", f"after-{number}"} <= taken
    for counts in told.counts.values():
        assert counts["recorded"] == counts["delivered"] + counts["dropped"]
        assert counts["waiting"] == 0
    assert told.counts["impressions"]["reasons"]["invalid"] > 200
    assert told.counts["purchases"]["reasons"]["invalid"] > 20
    # A line for each reason, kind and field, however often: and none of them holds a value.
    assert len(told.log.splitlines()) < 400
    assert "x" * 50 not in told.log


def test_fault_73_values_that_can_be_read_are_read_exactly(api: FakeApi) -> None:
    told = run_shop(
        """
        from decimal import Decimal
        from django.utils.functional import lazystr
        from django.utils.safestring import SafeString
        from django_topsort.events import *
        from django_topsort.tracking import record

        def buy(number, price, **fields):
            item = PurchaseItem(product_id=lazystr("p"), unit_price=price, **fields)
            user = SafeString("u")
            record(Purchase(id=f"order-{number}", opaque_user_id=user, items=[item]))

        for number, price in enumerate([Decimal("12.95"), 12.95, 0.1 + 0.2, 1, Decimal("1E+2"),
                                        Decimal(1) / 3, 1e-7]):
            buy(number, price)
        """,
        api,
    )

    check_books(told, api, [f"order-{number}" for number in range(7)])
    prices = {event["id"]: event["items"][0]["unitPrice"] for event in api.purchases}
    assert [prices[f"order-{number}"] for number in range(7)] == [
        Decimal("12.95"),
        Decimal("12.95"),
        Decimal("0.3"),
        1,
        100,
        Decimal("0.333333333333"),
        Decimal("0.0000001"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "Purchase(opaque_user_id='u', items=[])",
        "Purchase(opaque_user_id='u', items=None)",
        "Purchase(opaque_user_id='u', items=[item] * 10_000)",
        "PurchaseItem(product_id='p', unit_price=0)",
        "PurchaseItem(product_id='p', unit_price=-1)",
        "PurchaseItem(product_id='p', unit_price=float('nan'))",
        "PurchaseItem(product_id='p', unit_price='1.00')",
        "PurchaseItem(product_id='p', unit_price=1, quantity=0)",
        "PurchaseItem(product_id='p', unit_price=1, quantity=True)",
        "PurchaseItem(product_id='p', unit_price=1, quantity='2')",
        "Page(type='cart', page_id='/', value=['x' * 2000] * 100)",
        "Placement(path='/', category_ids=['x'] * 101)",
        "Entity(id='p\\x00' * 2000, type='product')",
    ],
)
def test_fault_73_error_says_what_is_wrong_where_a_developer_sees_it(wrong: str) -> None:
    told = run_shop(
        f"""
        from django_topsort.events import *
        from django_topsort.exceptions import InvalidEvent
        item = PurchaseItem(product_id="p", unit_price=1)
        try:
            {wrong}
        except InvalidEvent as error:
            tell(said=str(error))
        """,
        None,
        DEBUG=True,
    )

    field, _, rest = told.facts["said"].partition(": ")
    assert field.replace(".", "").isidentifier()
    assert " is not allowed, it must " in rest


def test_fault_74_what_is_changed_after_it_was_recorded(api: FakeApi) -> None:
    told = run_shop(
        """
        from django.test import RequestFactory
        from django_topsort.events import *
        from django_topsort.tracking import *

        request = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"}).get("/")
        categories, cart = ["c-1"], ["p-1"]
        set_placement(request, category_ids=categories)
        categories.append("c-2")
        fields = {"id": "shown", "search_query": "then"}
        track_impression(request, "p-1", **fields)
        fields["search_query"] = "now"
        categories.clear()
        track_pageview(request, "cart", value=cart, id="seen")
        cart.append("p-2")
        lines = [{"product": "p-1", "quantity": 1, "line_total": "5.00"}]
        order = {"number": "order", "lines": lines}
        track_purchase(order, opaque_user_id="u")
        lines[0]["line_total"] = "6.00"
        lines.append(lines[0])
        items = [PurchaseItem(product_id="p-1", unit_price=5)]
        bought = Purchase(id="bought", opaque_user_id="u", items=items)
        items.append(items[0])
        record(bought)
        try:
            bought.items = ()
        except AttributeError as error:
            tell(frozen=True)
        request.path = "/elsewhere"
        """,
        api,
    )

    check_books(told, api, ["shown", "seen", "order", "bought"])
    assert told.facts["frozen"]
    (shown,), (seen,) = api.impressions, api.pageviews
    assert shown["placement"] == {"path": "/", "categoryIds": ["c-1"], "searchQuery": "then"}
    assert seen["page"]["value"] == ["p-1"]
    for purchase in api.purchases:
        (item,) = purchase["items"]
        assert item["unitPrice"] == 5


def test_fault_75_million_impressions_in_one_request(api: FakeApi, tmp_path: Path) -> None:
    million = 1_000_000
    with serve(
        "gunicorn-gthread",
        tmp_path / "log",
        TOPSORT_API_URL=api.url,
        TOPSORT_API_KEY=KEY,
        ROOT_URLCONF="tests.faults.pages",
    ) as site:

        def ask(path: str) -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=300)
            connection.request("GET", path, headers={"User-Agent": USER_AGENT})
            with connection.getresponse() as response:
                assert response.status == 200
                body = json.loads(response.read())
            connection.close()
            return body

        ask("/crowd/?count=100000")  # fills the queue once: from then on nothing is to grow
        before = ask("/accounts/")
        ask(f"/crowd/?count={million}")
        after = ask("/accounts/")
        deadline = time.monotonic() + 120
        while (now := ask("/accounts/"))["counts"]["impressions"]["waiting"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    counts = now["counts"]["impressions"]
    assert counts["recorded"] == million + 100_000
    assert counts["recorded"] == counts["delivered"] + counts["dropped"]
    assert set(counts["reasons"]) == {"overflow"}
    assert counts["delivered"] == len(api.impressions) + api_forgot(api)
    assert api.repeated == []
    assert after["counts"]["impressions"]["waiting"] <= 50_000 + 500
    # Megabytes: what the queue holds and no more, however many there are.
    assert after["peak"] - before["peak"] < 64
    assert site.read_log().count("reason=overflow") <= 3  # one a minute


def api_forgot(api: FakeApi) -> int:
    """Return how many impressions came that the stand-in does not keep any more."""
    return sum(request.taken["impressions"] for request in api.requests) - len(api.impressions)
