"""The outbox in the admin: read-only, in words, and with a way to send again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import F
from django.test import Client
from django.urls import path, reverse

from django_topsort.outbox.models import OutboxEvent, RememberedShopper, Status
from django_topsort.outbox.store import store_events
from tests.sending.engine import build_event

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
urlpatterns = [path("admin/", admin.site.urls)]
LIST = "admin:topsort_outbox_outboxevent_changelist"


def build_client(*permissions: str) -> Client:
    user = User.objects.create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def store(name: str, kind: str = "purchases", **values: Any) -> OutboxEvent:
    store_events([build_event(kind, name)], "default")
    OutboxEvent.objects.filter(event_id=name).update(**values)
    return OutboxEvent.objects.get(event_id=name)


def test_list_says_what_is_the_matter() -> None:
    store("1001", status=Status.REJECTED, last_error="InvalidRequest status=400", attempts=2)
    store("1002", created_at=F("created_at") - timedelta(hours=3))
    store("1003", status=Status.DELIVERED)
    store("1004", status=Status.DEAD)

    page = build_client("view_outboxevent").get(reverse(LIST)).content.decode()

    for text in ("1001", "refused by Topsort", "InvalidRequest status=400", "not tried yet"):
        assert text in page
    assert "3\xa0hours" in page


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", {"1001", "1002", "1003"}),
        ("?waiting=minute", {"1002", "1003"}),
        ("?waiting=hour", {"1003"}),
        ("?waiting=nonsense", {"1001", "1002", "1003"}),
        ("?status__exact=delivered", {"1001"}),
        ("?q=1003", {"1003"}),
    ],
)
def test_list_is_filtered(query: str, ids: set[str]) -> None:
    store("1001", status=Status.DELIVERED)
    store("1002", created_at=F("created_at") - timedelta(minutes=3))
    store("1003", created_at=F("created_at") - timedelta(hours=3))

    response = build_client("view_outboxevent").get(reverse(LIST) + query)

    assert {row.event_id for row in response.context["cl"].result_list} == ids


def test_nobody_writes_rows_by_hand() -> None:
    row = store("1001")
    client = build_client("view_outboxevent", "add_outboxevent", "change_outboxevent")

    assert client.get(reverse("admin:topsort_outbox_outboxevent_add")).status_code == 403
    change = reverse("admin:topsort_outbox_outboxevent_change", args=[row.pk])
    assert client.get(change).status_code == 200
    assert client.post(change, {"event_id": "forged"}).status_code == 403
    assert OutboxEvent.objects.get().event_id == "1001"


@pytest.mark.parametrize("may", [True, False])
def test_failed_rows_are_sent_again_by_who_may(may: bool) -> None:
    rows = [store("1", status=Status.DEAD), store("2", status=Status.DELIVERED)]
    permissions = ["view_outboxevent", "change_outboxevent"][: 1 + may]
    data = {"action": "send_again", "_selected_action": [row.pk for row in rows]}

    page = build_client(*permissions).post(reverse(LIST), data, follow=True).content.decode()

    assert ("1 event waits again." in page) is may
    assert OutboxEvent.objects.waiting().count() == may


def test_what_was_delivered_is_not_sent_again() -> None:
    row = store("1", status=Status.DELIVERED)
    data = {"action": "send_again", "_selected_action": [row.pk]}

    client = build_client("view_outboxevent", "change_outboxevent", "delete_outboxevent")
    page = client.post(reverse(LIST), data, follow=True).content.decode()

    assert "Nothing of that was refused or given up" in page
    assert "delete_selected" not in page


def test_text_of_outsiders_is_shown_as_text() -> None:
    store("<script>alert(1)</script>", status=Status.DEAD, last_error="<img src=x onerror=y>")

    page = build_client("view_outboxevent").get(reverse(LIST)).content.decode()

    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_remembered_shoppers_are_listed_without_their_ids() -> None:
    RememberedShopper.objects.create(order_key="1001", opaque_user_id="secret-shopper")
    url = reverse("admin:topsort_outbox_rememberedshopper_changelist")

    page = build_client("view_rememberedshopper").get(url).content.decode()

    assert "1001" in page
    assert "secret-shopper" not in page


@pytest.mark.parametrize("may", [True, False])
def test_remembered_shoppers_are_forgotten_by_who_may(may: bool) -> None:
    for number in ("1001", "1002"):
        RememberedShopper.objects.create(order_key=number, opaque_user_id="secret-shopper")
    url = reverse("admin:topsort_outbox_rememberedshopper_changelist")
    client = build_client(*["view_rememberedshopper", "delete_rememberedshopper"][: 1 + may])
    (row,) = client.get(f"{url}?q=1001").context["cl"].result_list
    data = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}

    page = client.post(url, data, follow=True).content.decode()

    assert RememberedShopper.objects.filter(order_key="1001").exists() is not may
    assert RememberedShopper.objects.filter(order_key="1002").exists()
    assert "secret-shopper" not in page


def test_nobody_changes_who_has_ordered() -> None:
    row = RememberedShopper.objects.create(order_key="1001", opaque_user_id="secret-shopper")
    change = reverse("admin:topsort_outbox_rememberedshopper_change", args=[row.pk])

    client = build_client("view_rememberedshopper", "change_rememberedshopper")

    assert client.post(change, {"opaque_user_id": "forged"}).status_code == 403
