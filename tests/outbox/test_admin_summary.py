"""What stands above the list of rows: what is the matter, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_topsort.outbox import background
from django_topsort.outbox.admin import figures, listing, summary
from django_topsort.outbox.admin.summary import Summary, build_summary
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import OutboxEvent, Status
from django_topsort.outbox.relay import Relay
from django_topsort.outbox.store import store_events
from django_topsort.reporting import Reporter
from django_topsort.testing import FakeApi
from tests.outbox.test_admin import LIST, build_client, store
from tests.sending.engine import build_event, build_events

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.outbox.test_admin")]
MOST_QUERIES = 45  # of a list with something of each kind and status, and all that is beside it


def ago(**of: float) -> Any:
    return get_database_time("default") - timedelta(**of)


def relay() -> None:
    Relay("default", Reporter(EventBackend)).send_batch()


def find_cell(found: Summary, kind: str, column: int) -> tuple[str, str, bool] | None:
    (row,) = [row for row in found.rows if row.kind == kind]
    cell = row.cells[column]
    return cell and (cell.text, cell.query, cell.is_bad)


def test_nothing_is_the_matter() -> None:
    found = build_summary()

    assert found.level == "well"
    assert found.headline == "Nothing waits, and nothing was lost."
    assert found.facts == ("Last delivered: nothing that is still here.",)
    assert found.causes == ()
    assert not found.needs


def test_what_was_just_written_is_being_sent() -> None:
    store("1")
    store("2", "clicks")

    found = build_summary()

    assert found.level == "busy"
    assert found.headline == "1 purchase and 1 other event wait, and are being sent."
    assert find_cell(found, "purchases", 0) == ("1", "waiting=any&kind__exact=purchases", False)
    assert found.rows[0].cells[0] is not None
    assert found.rows[0].cells[0].note == "for up to less than a minute"


@pytest.mark.parametrize(
    ("status", "title", "advice"),
    [
        (503, "Topsort is not available", "Nothing has to be done here: all waits"),
        (401, "the key is not accepted", "Set TOPSORT_API_KEY to a valid key"),
        (404, "no API at that address", "Look at TOPSORT_API_URL"),
        (429, "too many requests", "Nothing has to be done here: it is sent as fast"),
    ],
)
def test_outage_is_named_with_what_to_do(
    api: FakeApi, status: int, title: str, advice: str
) -> None:
    store("1")
    api.answer(status, b'{"errCode": "night"}')
    relay()

    found = build_summary()

    assert found.level == "bad"
    assert found.headline == f"1 purchase wait, because the last requests failed: {title}."
    assert found.advice.startswith(advice)
    assert any("Last failure among what waits: within the last" in fact for fact in found.facts)
    ((total, name, text, query),) = found.causes
    assert (total, name) == (1, title)
    assert "errCode=night" in text
    assert query.startswith("reason=")


def test_after_an_outage_it_says_that_send_now_is_quicker(api: FakeApi) -> None:
    store("1")
    api.answer(503, times=1)
    relay()
    store("2", status=Status.DELIVERED, settled_at=ago(seconds=-1))

    found = build_summary()

    assert found.level == "busy"
    assert found.headline.startswith("1 purchase wait for their next try; Topsort has taken")
    assert "“Send now”" in found.advice
    assert found.facts[0] == "Last delivered: less than a minute ago."


@pytest.mark.parametrize("is_relaying", [True, False])
def test_nobody_sends(settings: Any, is_relaying: bool) -> None:
    settings.TOPSORT_OUTBOX_RELAY = is_relaying
    store("1", created_at=ago(hours=3), due_at=ago(hours=3))

    found = build_summary()

    assert found.level == "bad"
    assert found.headline == "Nobody is sending: what is due has been left for 3\xa0hours."
    assert ("outbox not relayed" in found.advice) is is_relaying
    assert ("TOPSORT_OUTBOX_RELAY is False" in found.advice) is not is_relaying
    assert find_cell(found, "purchases", 0) == ("1", "waiting=any&kind__exact=purchases", True)


@pytest.mark.parametrize(
    "sign",
    [
        {"lease_token": "somebody", "due_at": timedelta(seconds=30)},
        {"status": Status.DELIVERED, "settled_at": timedelta(0)},
    ],
)
def test_somebody_sends_while_old_rows_are_left(sign: dict[str, Any]) -> None:
    store("1", created_at=ago(hours=3), due_at=ago(hours=3))
    now = get_database_time("default")
    values: dict[str, Any] = {
        name: now + of if isinstance(of, timedelta) else of for name, of in sign.items()
    }
    store("2", **values)

    found = build_summary()

    assert found.headline.endswith("and are being sent.")
    said = "1 event is being sent at this moment."
    assert (said in found.facts) is ("lease_token" in sign)


def test_paused_process_says_so(api: FakeApi) -> None:
    relay = background.get_relay(Reporter(EventBackend)).relay
    api.answer(503)
    try:
        for number in range(5):
            store(f"{number}")
            relay.send_batch()
        OutboxEvent.objects.update(created_at=ago(hours=3), due_at=ago(hours=3))
        found = build_summary()
    finally:
        background.close_relay()

    assert found.facts[-1].startswith("This process has paused: it asks Topsort again in ")
    assert not found.headline.startswith("Nobody is sending")


def test_refused_purchases_come_before_dead_letters(api: FakeApi) -> None:
    store("1", status=Status.REJECTED, last_error="InvalidRequest status=400: x", settled_at=ago())
    store("2", "clicks", status=Status.DEAD, last_error="NoAnswer no answer", settled_at=ago())
    store("3", "clicks", status=Status.REJECTED, settled_at=ago(), last_error="Strange thing: y")

    found = build_summary()

    assert found.headline == "1 purchase refused by Topsort: somebody must look at them."
    assert found.needs
    assert find_cell(found, "purchases", 1) == (
        "1",
        "status__exact=rejected&kind__exact=purchases",
        True,
    )
    assert find_cell(found, "clicks", 1) == (
        "1",
        "status__exact=rejected&kind__exact=clicks",
        False,
    )
    assert find_cell(found, "clicks", 2) == ("1", "status__exact=dead&kind__exact=clicks", True)
    assert {cause.title for cause in found.causes} == {"refused by Topsort", "no answer", "other"}


def test_dead_letters_alone() -> None:
    store("2", "clicks", status=Status.DEAD, settled_at=ago())

    found = build_summary()

    assert found.headline == "1 event given up: they are sent again only if somebody says so."
    assert "Send again" in found.advice


def test_announced_orders_are_told_apart() -> None:
    store("1", is_announcement=True, status=Status.ANNOUNCED)

    assert build_summary().facts[-1].startswith("Of what waits, 1 purchase announced:")


def test_more_than_is_counted_is_said_to_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (listing, figures, summary):
        monkeypatch.setattr(module, "MOST", 3)
    store_events(build_events(5, "clicks"), "default")

    found = build_summary()
    page = build_client("view_outboxevent").get(reverse(LIST)).content.decode()

    assert found.headline.startswith("more than 3 events wait")
    assert "for at least" in page
    assert "Only the newest 3 are listed and counted" in page
    assert find_cell(found, "clicks", 0) == ("more than 3", "waiting=any&kind__exact=clicks", False)


def fill_all() -> None:
    for kind in ("purchases", "clicks", "impressions", "pageviews"):
        for status in (Status.PENDING, Status.REJECTED, Status.DEAD, Status.DELIVERED):
            store(
                f"{kind}-{status}", kind, status=status, last_error="NoAnswer x", settled_at=ago()
            )
    store("announced", is_announcement=True, status=Status.ANNOUNCED)


@pytest.fixture
def clerk() -> Client:
    return build_client("view_outboxevent", "change_outboxevent", "view_rememberedshopper")


def count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connections["default"]) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_list_costs_the_same_however_many_rows_there_are(clerk: Client) -> None:
    fill_all()
    few = count_queries(clerk, reverse(LIST))
    store_events(build_events(80, "purchases"), "default")

    assert count_queries(clerk, reverse(LIST)) == few <= MOST_QUERIES


def test_page_of_a_row_costs_a_handful(clerk: Client) -> None:
    row = store("1")
    address = reverse("admin:topsort_outbox_outboxevent_change", args=[row.pk])

    assert count_queries(clerk, address) <= 10


def test_page_after_an_action_has_no_summary_to_pay_for(clerk: Client) -> None:
    row = store("1", status=Status.DEAD)
    data = {"action": "send_again", "_selected_action": [row.pk]}
    with CaptureQueriesContext(connections["default"]) as queries:
        assert clerk.post(reverse(LIST), data).status_code == 302

    assert len(queries) <= 25


def read_links(page: str) -> Iterator[str]:
    section = page[page.index('<section class="topsort-summary') : page.index("</section>")]
    yield from (unescape(link) for link in re.findall(r'href="([^"]+)"', section))


def test_each_figure_leads_to_its_rows(clerk: Client) -> None:
    fill_all()
    page = clerk.get(reverse(LIST)).content.decode()

    links = list(read_links(page))

    assert len(links) >= 12
    for link in links:
        found = clerk.get(reverse(LIST) + link)
        assert found.status_code == 200
        assert 0 < len(found.context["cl"].result_list) < OutboxEvent.objects.count(), link


@pytest.mark.django_db(databases=["default", "other"])
def test_outbox_in_another_database_is_shown(clerk: Client, shared_database: str) -> None:
    store_events([build_event("purchases", "1001")], shared_database)

    page = clerk.get(reverse(LIST) + "?q=1001").content.decode()
    row = OutboxEvent.objects.using(shared_database).get()
    change = reverse("admin:topsort_outbox_outboxevent_change", args=[row.pk])

    assert "1 purchase wait, and are being sent." in page
    assert "1001" in page
    assert "shopper-1" in clerk.get(change).content.decode()
