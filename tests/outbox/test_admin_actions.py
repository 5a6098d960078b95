"""What a person may do to rows in the admin, and what is written down of it."""

from __future__ import annotations

import csv
import json
import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.http import HttpResponse
from django.urls import reverse

from django_topsort.outbox.admin import changes
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.signals import events_dropped
from django_topsort.status import get_status
from tests.outbox.test_admin import LIST, build_client, store
from tests.sending.engine import PATIENCE

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.outbox.test_admin")]
CLERK = ("view_outboxevent", "change_outboxevent")
LATER = timedelta(minutes=30)


def act(name: str, rows: list[OutboxEvent], *permissions: str, **values: str) -> HttpResponse:
    data: dict[str, Any] = {"action": name, "_selected_action": [row.pk for row in rows], **values}
    client = build_client(*(permissions or CLERK))
    answer: HttpResponse = client.post(reverse(LIST), data, follow=True)  # type: ignore[assignment]
    assert answer.status_code == 200
    return answer


def store_later(name: str, kind: str = "purchases", **values: Any) -> OutboxEvent:
    due_at = get_database_time("default") + LATER
    return store(name, kind, **{"due_at": due_at, "attempts": 7, **values})


def get_notes() -> list[tuple[str, str, str]]:
    """Return who has done what to which row."""
    entries = LogEntry.objects.order_by("pk")
    return [(e.user.get_username(), e.object_repr, e.get_change_message()) for e in entries]


def test_what_waits_for_a_later_try_is_sent_now_but_for_what_is_being_sent() -> None:
    rows = [
        store_later("1"),
        store_later("2", lease_token="another-relay"),
        store("3"),
        store("4", status=Status.DEAD),
    ]

    page = act("send_now", rows).content.decode()

    assert "1 event is due now" in page
    assert "1 is being sent at this moment and was left alone." in page
    now = get_database_time("default")
    assert OutboxEvent.objects.get(pk=rows[0].pk).due_at <= now
    assert OutboxEvent.objects.get(pk=rows[1].pk).due_at > now
    assert get_notes() == [("clerk", "purchases 1", "Made due at once.")]
    assert OutboxEvent.objects.get(pk=rows[0].pk).attempts == 7


@pytest.mark.django_db(transaction=True)
def test_row_that_a_relay_takes_at_that_moment_is_passed_over() -> None:  # pragma: no cover
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("this database has one writer, or no rows that it can pass over")
    rows = [store_later("1"), store_later("2")]
    is_held, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            OutboxEvent.objects.select_for_update().get(pk=rows[0].pk)
            is_held.set()
            is_done.wait(PATIENCE)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert is_held.wait(PATIENCE)
        page = act("send_now", rows).content.decode()
    finally:
        is_done.set()
        holder.join()

    assert "1 event is due now" in page
    assert get_notes() == [("clerk", "purchases 2", "Made due at once.")]


def test_nothing_that_waits_for_a_later_try_is_said_to_be_none() -> None:
    assert (
        "Nothing of that waits for a later try." in act("send_now", [store("1")]).content.decode()
    )


def test_who_has_sent_what_again_is_written_down() -> None:
    act("send_again", [store("1", status=Status.DEAD), store("2", status=Status.DELIVERED)])

    assert get_notes() == [("clerk", "purchases 1", "Sent again.")]


@pytest.mark.parametrize("name", ["send_now", "send_again", "give_up"])
def test_who_may_only_look_does_nothing(name: str) -> None:
    row = store_later("1", "clicks")

    act(name, [row], "view_outboxevent", "give_up_purchases", confirmed="yes", reason="mine")

    assert OutboxEvent.objects.get().status == Status.PENDING
    assert get_notes() == []


def test_giving_up_asks_why_first() -> None:
    row = store("1", "clicks")

    page = act("give_up", [row]).content.decode()
    without = act_again("give_up", [row], confirmed="yes", reason=" ").content.decode()

    assert "Yes, give them up" in page
    assert f'name="_selected_action" value="{row.pk}"' in page
    assert "This field is required." in without
    assert OutboxEvent.objects.get().status == Status.PENDING


def act_again(name: str, rows: list[OutboxEvent], **values: str) -> HttpResponse:
    """Act as the same clerk once more."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.get(username="clerk"))
    data = {"action": name, "_selected_action": [row.pk for row in rows], **values}
    return client.post(reverse(LIST), data, follow=True)  # type: ignore[return-value]


def test_what_is_given_up_is_a_dead_letter_with_a_reason_and_is_said() -> None:
    heard: list[tuple[str, str, int]] = []

    def hear(kind: str, reason: str, count: int, **facts: object) -> None:
        heard.append((kind, reason, count))

    rows = [
        store_later("1", "clicks"),
        store_later("2", "clicks", lease_token="another-relay"),
        store("3", "clicks", lease_token="a-dead-one"),
        store("4", "clicks", payload="nonsense"),
    ]
    events_dropped.connect(hear)
    try:
        page = act("give_up", rows, confirmed="yes", reason="a test of ours").content.decode()
    finally:
        events_dropped.disconnect(hear)

    assert "3 events were given up: they are dead letters." in page
    assert "1 is being sent at this moment and was left alone." in page
    found = dict(OutboxEvent.objects.values_list("event_id", "status"))
    assert found == {"1": "dead", "2": "pending", "3": "dead", "4": "dead"}
    row = OutboxEvent.objects.get(event_id="1")
    assert row.last_error == "given up by clerk: a test of ours"
    assert row.settled_at is not None
    assert sorted(heard) == [("clicks", "given_up", 1), ("clicks", "given_up", 2)]
    assert get_notes()[0] == ("clerk", "clicks 1", "given up by clerk: a test of ours")
    clicks = get_status()["process"]["clicks"]
    assert clicks["recorded"] + clicks["taken"] == sum(
        clicks[name] for name in ("delivered", "rejected", "dropped", "stored", "waiting")
    )


@pytest.mark.parametrize("may", [True, False])
def test_purchases_are_given_up_by_who_has_a_permission_of_its_own(may: bool) -> None:
    rows = [store("1"), store("2", "clicks"), store("3", is_announcement=True, status="announced")]
    permissions = [*CLERK, *["give_up_purchases"][:may]]

    asked = act("give_up", rows, *permissions).content.decode()
    page = act_again("give_up", rows, confirmed="yes", reason="a test").content.decode()

    assert ("which are left alone: to give them up needs" in asked) is not may
    assert ("Purchases were left alone" in page) is not may
    dead = set(OutboxEvent.objects.filter(status=Status.DEAD).values_list("event_id", flat=True))
    assert dead == ({"1", "2", "3"} if may else {"2"})


def test_announced_order_that_is_given_up_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = store("1001", is_announcement=True, status=Status.ANNOUNCED)

    act("give_up", [row], *CLERK, "give_up_purchases", confirmed="yes", reason="a test")

    assert "left out kind=purchases reason=given_up id=1001" in caplog.text


def test_what_has_ended_is_not_given_up() -> None:
    row = store("1", "clicks", status=Status.DELIVERED)

    page = act("give_up", [row], confirmed="yes", reason="a test").content.decode()

    assert "Nothing was given up." in page
    assert OutboxEvent.objects.get().status == Status.DELIVERED


def test_one_action_changes_so_many_rows_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_CHANGED", 3)
    monkeypatch.setattr(changes, "CHUNK", 2)
    rows = [store(f"{number}", status=Status.DEAD) for number in range(5)]

    page = act("send_again", rows).content.decode()

    assert "3 events wait again." in page
    assert "These were the first 3; the rest was left alone" in page
    assert OutboxEvent.objects.waiting().count() == 3
    assert len(get_notes()) == 3


def test_all_rows_of_a_filter_are_chosen_at_once() -> None:
    rows = [store(f"{number}", status=Status.DEAD) for number in range(60)]

    page = act("send_again", rows[:1], select_across="1").content.decode()

    assert "60 events wait again." in page


def test_export_has_no_shopper_no_key_and_no_formula() -> None:
    rows = [
        store("=HYPERLINK(1)", status=Status.REJECTED, last_error="@InvalidRequest"),
        store("2", payload="nonsense"),
    ]

    answer = act("export_csv", rows, "view_outboxevent")
    found = json.loads(act_again("export_json", rows).content)

    header, second, first = csv.reader(StringIO(answer.content.decode()))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="topsort-outbox.csv"'
    assert header[:3] == ["kind", "id", "status"]
    assert first[:3] == ["purchases", "'=HYPERLINK(1)", "rejected"]
    assert "'@InvalidRequest" in first
    assert second[-1] == "null"
    assert found[1]["payload"]["opaqueUserId"] == "(hidden)"
    assert found[1]["payload"]["items"][0]["productId"] == "shoe"
    assert found[0]["payload"] is None
    assert "shopper-1" not in answer.content.decode() + json.dumps(found)
    assert [note[2] for note in get_notes()] == ["Exported."] * 4


def test_export_is_for_who_may_see_the_rows_and_of_a_thousand_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("django_topsort.outbox.admin.actions.MOST_EXPORTED", 2)
    rows = [store(f"{number}") for number in range(3)]

    found = json.loads(act("export_json", rows, "view_outboxevent").content)

    assert [row["id"] for row in found] == ["2", "1"]
