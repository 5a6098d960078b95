"""The page of one row in the admin, and the list by search, filter and number."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import path, reverse

from django_topsort.outbox.announced import store_announcement
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import OutboxEvent, RememberedShopper, Status
from django_topsort.purchases.announcements import Announcement
from tests.orders import place_order
from tests.outbox.test_admin import LIST, build_client, store

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
urlpatterns = [path("admin/", admin.site.urls)]
REFUSAL = (
    "InvalidRequest status=400 errCode=bad docUrl=https://docs.topsort.com/errors#bad: Topsort"
    " refused what was sent. <script>"
)


with_orders = pytest.mark.urls("tests.outbox.shop_admin")


def show(row: OutboxEvent, *permissions: str) -> str:
    url = reverse("admin:topsort_outbox_outboxevent_change", args=[row.pk])
    answer = build_client("view_outboxevent", *permissions).get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def announce(**values: Any) -> OutboxEvent:
    announcement = Announcement(name="1001", using="default", shopper="shopper-1", **values)
    store_announcement(announcement, "default", timedelta(seconds=15))
    return OutboxEvent.objects.get()


def read_payload(page: str) -> str:
    (found,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    return unescape(found)


def test_refused_row_has_its_whole_reason_with_topsorts_page_as_a_link() -> None:
    row = store("1001", status=Status.REJECTED, last_error=REFUSAL, settled_at="2026-11-30T03:00Z")

    page = show(row, "change_outboxevent")

    assert '<a href="https://docs.topsort.com/errors#bad" rel="noopener' in page
    assert "&lt;script&gt;" in page
    assert "<script>\n" not in page
    assert "refused by Topsort: Nov. 30, 2026, 4 a.m." in page  # in the project's time zone
    assert 'value="send_again">Send again</button>' in page
    assert 'value="send_now"' not in page


@pytest.mark.parametrize(
    ("values", "said", "actions"),
    [
        ({}, "now", {"give_up"}),
        ({"due": 40}, "within a minute", {"send_now", "give_up"}),
        ({"due": 3630}, "in 1\xa0hour", {"send_now", "give_up"}),
        ({"due": 40, "lease_token": "x"}, "being sent at this moment", set()),
        ({"status": Status.DELIVERED}, "-", set()),
        ({"status": Status.DEAD}, "-", {"send_again"}),
    ],
)
def test_row_says_when_it_is_tried_next_and_what_can_be_done(
    values: dict[str, Any], said: str, actions: set[str]
) -> None:
    if "due" in values:
        due_at = get_database_time("default") + timedelta(seconds=values.pop("due"))
        values = {**values, "due_at": due_at}

    page = show(store("1001", **values), "change_outboxevent")

    (found,) = re.findall(r"Next try:</label>\s*<div class=\"readonly\">(.*?)</div>", page)
    assert found == said
    assert set(re.findall(r'name="action" value="(\w+)"', page)) == actions


def test_who_may_only_look_is_offered_nothing() -> None:
    assert 'name="action"' not in show(store("1001"))


def test_shopper_is_shown_to_who_may_see_shoppers() -> None:
    row = store("1001")

    hidden = show(row)

    assert "shopper-1" not in hidden
    assert '"opaqueUserId": "(hidden)"' in read_payload(hidden)
    assert '"productId": "shoe"' in read_payload(hidden)


def test_shopper_is_shown_with_the_permission() -> None:
    page = show(store("1001"), "view_rememberedshopper")

    assert '"opaqueUserId": "shopper-1"' in read_payload(page)


@pytest.mark.parametrize("may", [True, False])
def test_payload_that_cannot_be_read_may_hold_anything(may: bool) -> None:
    row = store("1001", payload='{"opaqueUserId": "shopper-1", ')

    page = show(row, *["view_rememberedshopper"][:may])

    assert ("shopper-1" in page) is may
    assert ("It is no JSON, and is not shown." in page) is not may


def test_announcement_is_shown_as_what_it_is() -> None:
    row = announce(purchase='{"id": "1001", "opaqueUserId": "shopper-1", "items": [1, null]}')

    page = show(row)

    assert "order 1001 announced, waits for its commit" in page
    assert "shopper-1" not in page
    assert '"shopper": "(hidden)"' in read_payload(page)
    assert '"items": [' in read_payload(page)


def test_announcement_that_was_given_up_was_never_read() -> None:
    row = announce(model="shop.order", pk="1")
    OutboxEvent.objects.update(status=Status.DEAD)

    assert "order 1001 announced, and never read" in show(row)


@with_orders
@pytest.mark.parametrize("may", [True, False])
def test_announced_order_is_a_link(may: bool) -> None:
    order = place_order()
    row = announce(model="shop.order", pk=str(order.pk))

    page = show(row, *["view_order"][:may])

    assert (f'<a href="/admin/shop/order/{order.pk}/change/">open it' in page) is may


@with_orders
@pytest.mark.parametrize(
    "values",
    [
        {"model": "shop.gone", "pk": "1"},
        {"model": "shop.marketorder", "pk": '["x", "1"]'},
        {"purchase": "{}"},
    ],
)
def test_announced_order_that_cannot_be_named_is_looked_for(values: dict[str, str]) -> None:
    page = show(announce(**values), "view_order", "view_line")

    assert '<a href="/admin/shop/order/?q=1001">look for it' in page


@with_orders
@pytest.mark.parametrize("kind", ["purchases", "clicks"])
def test_order_of_a_purchase_is_looked_for(kind: str) -> None:
    page = show(store("A&1", kind), "view_order")

    assert ('<a href="/admin/shop/order/?q=A%261">look for it' in page) is (kind == "purchases")


@with_orders
def test_order_is_not_looked_for_by_who_may_not_see_orders() -> None:
    assert "look for it" not in show(store("1001"))


def test_page_of_a_row_that_is_gone_leads_back() -> None:
    url = reverse("admin:topsort_outbox_outboxevent_change", args=[4711])

    page = build_client("view_outboxevent").get(url, follow=True).content.decode()

    assert "exist. Perhaps it was deleted?" in page


def test_order_that_the_admin_does_not_have_is_no_link() -> None:
    assert "look for it in this admin" not in show(store("1001"), "view_order")


def list_ids(client: Client, query: str) -> set[str]:
    answer = client.get(reverse(LIST) + query)
    assert answer.status_code == 200
    return {row.event_id for row in answer.context["cl"].result_list}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("?q=1001+1002", {"1001", "1002"}),
        ("?q=1001,1002", {"1001", "1002"}),
        ("?q=100", set()),
        ("?q=two+words", {"two words"}),
        ("?q=+", {"1001", "1002", "two words", "1004"}),
        ("?needs=me", {"1001", "1004"}),
        ("?needs=nonsense", {"1001", "1002", "two words", "1004"}),
        ("?kind__exact=clicks", {"1004", "two words"}),
        ("?kind__exact=nonsense", {"1001", "1002", "two words", "1004"}),
        ("?waiting=any", {"1002"}),
        ("?reason=InvalidRequest", {"1001"}),
        ("?reason=order", {"1002"}),
        ("?reason=unreadable", {"1004"}),
        ("?reason=nonsense", {"1001", "1002", "two words", "1004"}),
        ("?o=1", {"1001", "1002", "two words", "1004"}),
    ],
)
def test_list_is_searched_and_filtered(query: str, ids: set[str]) -> None:
    store("1001", status=Status.REJECTED, last_error=REFUSAL)
    store("1002", last_error="OSError: its order cannot be read")
    store("two words", "clicks", status=Status.REJECTED, last_error="given up by clerk: x")
    store("1004", "clicks", status=Status.DEAD, last_error="not readable: x: y")

    assert list_ids(build_client("view_outboxevent"), query) == ids


def test_list_is_in_the_order_of_its_keys_whatever_is_asked_for() -> None:
    for name in ("3", "1", "2"):
        store(name)
    client = build_client("view_outboxevent")

    for query in ("", "?o=1", "?o=-3.2"):
        found = client.get(reverse(LIST) + query).context["cl"].result_list
        assert [row.event_id for row in found] == ["2", "1", "3"]


def test_summary_counts_reasons_as_the_filter_finds_them() -> None:
    store("1", last_error="OSError: its order cannot be read")
    store("2", status=Status.DEAD, last_error="not readable: x: y", settled_at="2026-11-30T03:00Z")
    store("3", status=Status.DEAD, last_error="given up by me: z", settled_at="2026-11-30T03:00Z")
    page = build_client("view_outboxevent").get(reverse(LIST)).content.decode()

    for name in ("order", "unreadable", "person"):
        assert f'href="?reason={name}"' in page


def test_remembered_shoppers_are_found_by_whole_numbers() -> None:
    for number in ("1001", "10011"):
        RememberedShopper.objects.create(order_key=number, opaque_user_id="secret-shopper")
    url = reverse("admin:topsort_outbox_rememberedshopper_changelist")
    client = build_client("view_rememberedshopper")

    assert len(client.get(f"{url}?q=1001").context["cl"].result_list) == 1
    assert len(client.get(f"{url}?q=").context["cl"].result_list) == 2
