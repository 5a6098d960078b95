"""``manage.py topsort_purchase``: an order explained, and what became of it when it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from django_topsort.outbox import background, testruns
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.outbox.store import store_events
from django_topsort.purchases.reader import OrderReader
from django_topsort.purchases.rules import build_purchase
from django_topsort.testing import FakeApi
from tests.orders import PLACED, place_order
from tests.shop.models import Line, MarketOrder, Order

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

OUTBOX = "django_topsort.outbox.backend.EventBackend"
HTTP = "django_topsort.backends.http.EventBackend"
DUMMY = "django_topsort.backends.dummy.EventBackend"
MARKET = UUID("7a9f0a3e-3cb4-4b4a-8b35-3c1f6f6f0d11")


@pytest.fixture
def api(settings: Any, own_backends: None) -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_BACKENDS = {"default": HTTP}
        yield api


@pytest.fixture
def outbox(settings: Any, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(testruns, "test_run", testruns.TestRun())
    settings.TOPSORT_BACKENDS = {"default": HTTP, "purchases": OUTBOX}
    yield
    background.close_relay()


def run(*args: str, label: str = "shop.Order") -> tuple[int, str]:
    """Return the exit code of the command, and what it says."""
    out = StringIO()
    code: Any = 0
    try:
        call_command("topsort_purchase", label, *args, stdout=out)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue()


def explain(*args: str, label: str = "shop.Order") -> str:
    code, said = run(*args, label=label)
    assert code == 0
    return said


def fail(*args: str, label: str = "shop.Order") -> str:
    with pytest.raises(CommandError) as raised:
        run(*args, label=label)
    return str(raised.value)


def send(*args: str) -> tuple[int, str]:
    """Return the exit code, and what became of order 1001."""
    code, said = run("1001", "--opaque-user-id", "shopper-1", "--send", *args)
    return code, said.strip().rpartition("\nSent: ")[2]


# What it says


def test_purchase_is_shown_as_it_would_go_out() -> None:
    order = place_order()

    said = explain("1001", "--opaque-user-id", "shopper-1")

    assert said.startswith(f"Order '1001': shop.Order {order.pk}, found by number\n")
    assert "Verdict   it is complete, and would be reported" in said
    assert "items[1].unitPrice  29.95  <- line 1: line_price_incl_tax 59.90 / quantity 2" in said
    assert "Lines left out" not in said
    assert "Items made of several lines" not in said
    body = json.loads(said.partition("The purchase, as it goes out\n")[2])
    assert body["id"] == "1001"
    assert [item["productId"] for item in body["items"]] == ["hat-1", "shoe-1"]


def test_lines_that_were_left_out_or_merged_are_listed() -> None:
    order = place_order()
    Line.objects.create(order=order, sku="bag", line_price_incl_tax=0)
    Line.objects.create(order=order, sku="hat-1", line_price_incl_tax="19.95")

    said = explain("1001", "--opaque-user-id", "shopper-1")

    assert "Lines left out\n  line 3: it is free (free)\n" in said
    assert "Items made of several lines\n  items[0]: lines 2, 4\n" in said


def test_order_that_is_no_purchase_is_explained_without_one() -> None:
    place_order()

    said = explain("1001")

    assert "Verdict   no_shopper: nobody knows the shopper" in said
    assert "Shopper   nobody knows." in said
    assert "Reported  not looked for: there is no purchase" in said
    assert "The purchase, as it goes out" not in said


def test_json_has_the_same_in_fields() -> None:
    place_order()

    said = json.loads(explain("1001", "--opaque-user-id", "shopper-1", "--format", "json"))

    assert said["purchase"]["items"][1]["unitPrice"] == 29.95
    assert {"field": "id", "value": "1001", "origin": "number 1001"} in said["origins"]
    assert said["lines"][0] == {"line": 1, "items": [1], "reason": "", "words": ""}
    assert (said["found_by"], said["reason"], said["sent"]) == ("number", "", None)
    assert json.loads(explain("1001", "--format", "json"))["purchase"] is None


def test_nothing_is_sent_unless_it_is_asked_for(api: FakeApi) -> None:
    place_order()

    explain("1001", "--opaque-user-id", "shopper-1")

    assert api.requests == []


# Which order


def test_label_is_read_in_any_case() -> None:
    place_order()

    assert "found by number" in explain("1001", label="SHOP.order")


@pytest.mark.parametrize(
    ("label", "near"),
    [
        ("shop.Ordr", "shop.Order"),
        ("Order", "shop.Order"),
        ("a.b.order", "shop.Order"),
        ("store.marketorder", "shop.MarketOrder"),
    ],
)
def test_wrong_label_names_what_is_near(label: str, near: str) -> None:
    said = fail("1001", label=label)

    assert f"there is no model {label!r}" in said
    assert near in said.partition("near to it: ")[2]


def test_label_that_is_near_to_nothing_is_just_wrong() -> None:
    assert fail("1001", label="zzz").endswith("app_label.ModelName")


def test_primary_key_counts_where_no_number_does() -> None:
    order = place_order("A-1")

    assert "found by primary key" in explain(f"{order.pk}")


def test_number_counts_before_a_primary_key_and_both_are_named() -> None:
    other = place_order("A-1")
    order = place_order(f"{other.pk}")

    said = explain(f"{other.pk}")
    assert f"shop.Order {order.pk}, found by number" in said
    assert f"Note: '{other.pk}' is the primary key of another order, 'A-1': --pk" in said

    assert f"shop.Order {other.pk}, found by primary key" in explain(f"{other.pk}", "--pk")


def test_number_that_is_a_primary_key_of_its_own_needs_no_note() -> None:
    order = place_order("A-1")
    Order.objects.filter(pk=order.pk).update(number=f"{order.pk}")

    assert "Note" not in explain(f"{order.pk}")


def test_number_of_several_orders_names_their_primary_keys() -> None:
    orders = [place_order(), place_order()]

    said = fail("1001")
    assert said.endswith(f"give the primary key of one, --pk: {orders[0].pk}, {orders[1].pk}")


def test_order_that_is_not_there_says_where_it_was_looked_for() -> None:
    assert "Numbers are looked for in: number;" in fail("1001")
    assert "looked for in: no column;" in fail("x", label="auth.Group")


def test_number_is_what_the_reader_makes_of_the_column(settings: Settings) -> None:
    class Reader(OrderReader):
        key_names = ("user", "number")

        def get_key(self, order: Any) -> str:
            return f"shop/{order.number}"

    settings.TOPSORT_ORDER_READER = Reader
    place_order()

    assert "one that a method of the reader makes cannot be looked for" in fail("1001")
    assert "Numbers are looked for in: user, number;" in fail("shop/1001")


def test_numbers_of_a_function_are_under_the_usual_names(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = lambda order: None
    place_order()

    assert "found by number" in explain("1001")


def test_composite_primary_key_is_a_json_list() -> None:
    MarketOrder.objects.create(market=MARKET, number="m-1")
    MarketOrder.objects.create(market=UUID(int=1), number="m-1")

    key = f'["{MARKET}", "m-1"]'
    assert key in fail("m-1", label="shop.MarketOrder")
    assert "found by primary key" in explain(key, "--pk", label="shop.MarketOrder")
    for wrong in ('["m-1"]', '"m-1"', "[1"):
        assert "no shop.MarketOrder in" in fail(wrong, "--pk", label="shop.MarketOrder")


def test_order_is_looked_for_in_the_database_that_is_named() -> None:
    place_order(using="other")

    assert "found by number" in explain("1001", "--using", "other")
    assert "no shop.Order in the database 'default'" in fail("1001")
    assert fail("1001", "--using", "third") == "there is no database 'third' in DATABASES"


# What became of it


def test_sent_order_is_said_to_be_delivered(api: FakeApi) -> None:
    place_order()

    assert send() == (0, "delivered")
    (event,) = api.purchases
    assert event["id"] == "1001"


def test_sent_order_is_in_the_json_too(api: FakeApi) -> None:
    place_order()

    code, said = run("1001", "--opaque-user-id", "s", "--send", "--format", "json")
    assert (code, json.loads(said)["sent"]) == (0, "delivered")


def test_order_that_is_no_purchase_is_not_sent(api: FakeApi) -> None:
    place_order()

    code, said = run("1001", "--send")

    assert code == 1
    assert "\nSent: nothing, no_shopper: " in said
    assert api.requests == []


def test_order_that_topsort_refuses_is_said_to_be_refused(api: FakeApi, outbox: None) -> None:
    place_order()
    api.answer(401)

    code, said = send()

    assert code == 1
    assert said.startswith("not delivered yet, it waits: AuthenticationFailed")


def test_order_that_is_given_up_says_why(api: FakeApi) -> None:
    place_order()
    api.answer(503)

    assert send() == (1, "given up: failed")


def test_order_of_a_shop_that_reports_nothing_says_so(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_BACKENDS = {"default": DUMMY}
    place_order()

    assert send() == (1, "dropped: reporting is off (the dummy backend)")


def test_order_within_a_transaction_is_not_reported_yet(api: FakeApi) -> None:
    place_order()

    with transaction.atomic():
        assert send() == (1, "not reported yet: its transaction has not been committed")
    assert len(api.purchases) == 1


def test_order_in_the_outbox_is_delivered_from_there(api: FakeApi, outbox: None) -> None:
    place_order()

    assert send() == (0, "delivered")
    assert len(api.purchases) == 1
    assert "Reported  in the outbox: delivered since 2" in explain("1001", "--opaque-user-id", "s")


def test_order_that_was_reported_is_not_sent_again(api: FakeApi, outbox: None) -> None:
    place_order()
    send()

    code, said = send()
    assert (code, said[:41]) == (0, "not again: it is in the outbox: delivered")
    assert len(api.purchases) == 1


def test_order_that_waits_in_the_outbox_says_so(outbox: None) -> None:
    order = place_order()
    purchase = build_purchase(order, opaque_user_id="s")
    assert purchase is not None
    store_events([purchase], "default")
    OutboxEvent.objects.update(last_error="no answer", attempts=2)

    said = explain("1001", "--opaque-user-id", "s")

    assert "Reported  in the outbox: pending, attempts: 2: no answer" in said


def test_order_that_was_refused_says_since_when(outbox: None) -> None:
    purchase = build_purchase(place_order(), opaque_user_id="s")
    assert purchase is not None
    store_events([purchase], "default")
    OutboxEvent.objects.update(status=Status.REJECTED, settled_at=timezone.now())

    assert "in the outbox: rejected since 2" in explain("1001", "--opaque-user-id", "s")


def test_outbox_that_cannot_be_read_does_not_stop_the_explanation() -> None:
    place_order()
    with connection.schema_editor() as editor:
        editor.delete_model(OutboxEvent)
    try:
        said = explain("1001", "--opaque-user-id", "s")
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(OutboxEvent)

    assert "Reported  not known, the outbox cannot be read: " in said


def test_shop_without_an_outbox_has_nothing_to_look_up(settings: Settings) -> None:
    settings.INSTALLED_APPS = [
        name for name in settings.INSTALLED_APPS if name != "django_topsort.outbox"
    ]
    place_order()

    assert "Reported" not in explain("1001", "--opaque-user-id", "s")


def test_order_sent_twice_at_once_is_on_its_way(
    api: FakeApi, outbox: None, settings: Settings
) -> None:
    purchase = build_purchase(place_order(), opaque_user_id="shopper-1")
    assert purchase is not None
    assert purchase.occurred_at == PLACED
    store_events([purchase], "default")
    api.answer(503)

    code, said = send()

    assert code == 1
    assert said.startswith("not again: it is in the outbox: pending")
