"""Taking in a body: who, when, where, and what does not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.cache import cache
from django.http import HttpRequest
from django.test import override_settings

from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.bids import sign_bid
from django_topsort.browser.intake import Intake, find_shopper, take_events
from django_topsort.browser.refusals import MAX_MESSAGE, MAX_NAMED
from django_topsort.events import Click, Impression
from django_topsort.facts import get_collector
from django_topsort.middleware import TopsortMiddleware
from django_topsort.outbox.models import OutboxEvent
from tests.browser.sending import (
    build_impression,
    build_purchase,
    build_request,
    build_sponsored,
    encode,
)
from tests.test_clicks import Clock

all_kinds = override_settings(
    TOPSORT_BROWSER_EVENTS=["impressions", "clicks", "purchases", "pageviews"]
)
OUTBOX = {"default": "django_topsort.outbox.backend.EventBackend"}
BAG = {"productId": "bag", "unitPrice": 20}


def take(request: HttpRequest | None = None, **kinds: Any) -> Intake:
    return take_events(request or build_request(), encode(**kinds))


def get_reasons(kind: str) -> dict[str, int]:
    reasons: dict[str, int] = accounts.get_counts()[kind]["reasons"]
    return dict(reasons)


def count_reason(kind: str, reason: str) -> int:
    return get_reasons(kind).get(reason, 0)


def test_events_of_all_kinds_are_recorded_for_the_shopper_of_the_cookie() -> None:
    page = {"page": {"type": "home", "pageId": "/"}, "opaqueUserId": "somebody else"}
    intake = take(
        impressions=[build_impression(opaqueUserId="somebody else")],
        clicks=[build_sponsored()],
        pageviews=[page],
    )

    assert intake == Intake(recorded=3)
    assert [event.kind for event in outbox] == ["impressions", "clicks", "pageviews"]
    assert {event.opaque_user_id for event in outbox} == {"shopper-1"}
    assert {event.channel for event in outbox} == {"onsite"}


def get_customer(request: HttpRequest) -> str:
    return "customer-7"


@override_settings(TOPSORT_USER_ID=get_customer, TOPSORT_CHANNEL="instore")
def test_shopper_and_channel_are_those_of_the_settings() -> None:
    take(impressions=[build_impression(opaqueUserId="me", channel="offsite")])

    (event,) = outbox
    assert (event.opaque_user_id, event.channel) == ("customer-7", "instore")


def test_id_is_kept_if_it_is_a_uuid_and_made_if_it_is_absent() -> None:
    own = str(uuid4())
    take(impressions=[build_impression(id=one) for one in (own, own.upper(), None, "")])

    ids = [event.id for event in outbox]
    assert ids[:2] == [own, own.upper()]
    assert len({str(UUID(one)) for one in ids}) == 3


def test_other_ids_are_replaced_by_the_same_one_for_the_same_shopper_and_kind() -> None:
    named = build_impression(id="1001")
    take(impressions=[named, build_impression(id=1001)], clicks=[named])
    take(build_request(cookie="tsuid=shopper-2"), impressions=[named])

    first, second, click, other = [event.id for event in outbox]
    assert first == second
    assert len({first, click, other, "1001"}) == 4


@pytest.mark.parametrize(
    ("age", "is_kept"),
    [
        (timedelta(0), True),
        (timedelta(hours=23), True),
        (timedelta(hours=25), False),
        (timedelta(minutes=-5), False),
    ],
)
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%f"])
def test_time_of_the_browser_counts_within_a_day(age: timedelta, is_kept: bool, form: str) -> None:
    before = datetime.now(UTC)
    said = before - age
    take(impressions=[build_impression(occurredAt=said.strftime(form))])

    (event,) = outbox
    assert (event.occurred_at == said) is is_kept
    assert is_kept or before <= event.occurred_at <= datetime.now(UTC)


def test_time_with_an_offset_is_kept_in_utc() -> None:
    said = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    local = (said + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")
    take(impressions=[build_impression(occurredAt=local)])

    assert outbox[0].occurred_at == said
    assert outbox[0].occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "said", [None, "", "yesterday", 1_800_000_000, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59Z"]
)
def test_time_that_cannot_be_had_is_the_servers(said: Any) -> None:
    before = datetime.now(UTC)
    assert take(impressions=[build_impression(occurredAt=said)]).recorded == 1

    assert before <= outbox[0].occurred_at <= datetime.now(UTC)


def test_kinds_that_are_not_taken_are_named_and_counted(drops: list[tuple[str, str, int]]) -> None:
    purchase = build_purchase(BAG)
    intake = take(purchases=[purchase, 3], impressions=[build_impression()])

    assert (intake.status, intake.recorded, intake.refused) == (400, 1, 2)
    assert [one.as_json() for one in intake.refusals] == [
        {
            "kind": "purchases",
            "index": 0,
            "id": purchase["id"],
            "errCode": "invalid_event_type",
            "message": "purchases are not taken from browsers, only impressions, clicks, pageviews",
        },
        {
            "kind": "purchases",
            "index": 1,
            "errCode": "invalid_event_type",
            "message": "purchases are not taken from browsers, only impressions, clicks, pageviews",
        },
    ]
    assert drops == [("purchases", "not_taken", 2)]


@pytest.mark.parametrize(("kinds", "recorded"), [("impressions", 1), (None, 1), ([], 0)])
def test_setting_of_kinds_that_lists_nothing(kinds: Any, recorded: int) -> None:
    with override_settings(TOPSORT_BROWSER_EVENTS=kinds):
        assert take(impressions=[build_impression()]).recorded == recorded


@pytest.mark.django_db(transaction=True)
@all_kinds
@override_settings(TOPSORT_BACKENDS=OUTBOX)
def test_purchase_goes_into_the_outbox_where_there_is_one() -> None:
    assert take(purchases=[build_purchase(BAG)]).recorded == 1

    assert OutboxEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (build_request(user_agent="Mozilla/5.0 (compatible; bingbot/2.0)"), "crawler"),
        (build_request(sec_purpose="prefetch"), "prefetch"),
        (build_request("?automated=1"), "automated"),
    ],
    ids=["crawler", "prefetch", "automated"],
)
def test_what_nobody_saw_is_counted_and_not_recorded(request_: HttpRequest, reason: str) -> None:
    request_.COOKIES.clear()
    before = count_reason("impressions", reason)
    impressions = [build_impression(), build_impression(entity=None, placement=None)]
    answers = []

    def view(request: HttpRequest) -> Any:
        from django.http import HttpResponse

        answers.append(take(request, impressions=impressions, clicks=[3]))
        return HttpResponse()

    response: Any = TopsortMiddleware(view)(request_)

    assert answers == [Intake()]
    assert outbox == []
    assert count_reason("impressions", reason) == before + 2
    assert not response.cookies


@override_settings(TOPSORT_IGNORE_REQUEST=lambda request: True)
def test_what_the_hook_ignores_is_counted_by_it() -> None:
    before = count_reason("clicks", "hook")

    assert take(clicks=[build_impression()]) == Intake()
    assert outbox == []
    assert count_reason("clicks", "hook") == before + 1


def test_automated_is_said_by_a_1_alone() -> None:
    assert take(build_request("?automated=0"), impressions=[build_impression()]).recorded == 1


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_nothing_is_read_or_counted_without_consent() -> None:
    before = accounts.get_counts()
    request = build_request()

    assert take(request, impressions=[build_impression(), 3]) == Intake()
    assert take_events(request, b"no JSON") == Intake()
    assert accounts.get_counts() == before
    assert outbox == []


def test_bid_signed_for_this_shopper_is_reported_as_it_was() -> None:
    signed = sign_bid("bid:1", "shopper-1")
    with override_settings(TOPSORT_REQUIRE_SIGNED_BIDS=True):
        assert take(impressions=[build_sponsored(signed)]).status == 204

    (event,) = outbox
    assert isinstance(event, Impression)
    assert event.resolved_bid_id == "bid:1"


@all_kinds
def test_ids_with_a_nul_are_refused() -> None:
    nul = {"type": "product", "id": "a\0"}
    impressions = [build_impression(entity=nul), build_sponsored("a\0"), build_impression()]
    clicks = [build_sponsored(additionalAttribution=nul)]
    purchases = [build_purchase(BAG, {**BAG, "productId": "a\0"})]
    intake = take(impressions=impressions, clicks=clicks, purchases=purchases)

    assert intake.recorded == len(outbox) == 1
    fields = ["entity.id", "resolvedBidId", "items.productId", "additionalAttribution.id"]
    assert sorted(one.message for one in intake.refusals) == sorted(
        f"{field}: it must have no NUL in it" for field in fields
    )


def test_bid_of_2048_characters_may_be_signed() -> None:
    signed = sign_bid("x" * 2048, "shopper-1")

    assert take(impressions=[build_sponsored(signed)]).status == 204


@override_settings(TOPSORT_USER_ID=get_customer)
def test_bid_signed_for_the_guest_counts_after_the_login() -> None:
    assert take(clicks=[build_sponsored(sign_bid("bid-1", "shopper-1"))]).status == 204
    assert outbox[0].opaque_user_id == "customer-7"

    request = build_request(cookie="")
    assert take(request, clicks=[build_sponsored(sign_bid("b", "shopper-1"))]).status == 400


@pytest.mark.parametrize(
    ("bid", "reason", "settings"),
    [
        (sign_bid("bid-1", "shopper-1") + "x", "forged_bid", {}),
        ("ts1.bid-1", "forged_bid", {}),
        (sign_bid("bid-1", "shopper-2"), "foreign_bid", {}),
        (sign_bid("bid-1", "shopper-1"), "stale_bid", {"TOPSORT_CLICK_MAX_AGE": -1}),
        ("bid-1", "unsigned_bid", {"TOPSORT_REQUIRE_SIGNED_BIDS": True}),
    ],
    ids=["altered", "made-up", "foreign", "stale", "unsigned"],
)
def test_bid_that_does_not_count_is_named_and_counted(
    bid: str, reason: str, settings: dict[str, Any], drops: list[tuple[str, str, int]]
) -> None:
    bids = [build_sponsored(bid), build_impression()]
    with override_settings(SECRET_KEY="tests-only", **settings):
        intake = take(impressions=bids)

    (refusal,) = intake.refusals
    assert refusal.err_code == intake.err_code == "resolved_bid_id_not_found"
    assert refusal.message.startswith("resolvedBidId: ")
    assert intake.recorded == len(outbox) == 1
    assert drops == [("impressions", reason, 1)]


def test_repeats_are_left_out_and_not_named(drops: list[tuple[str, str, int]]) -> None:
    first = build_sponsored()
    assert take(impressions=[first, build_sponsored()], clicks=[build_sponsored()]).recorded == 2
    assert take(impressions=[build_sponsored("bid-2"), first]) == Intake(recorded=2)
    assert take(impressions=[build_sponsored()]) == Intake()

    assert drops == [("impressions", "duplicate", 1), ("impressions", "duplicate", 1)]
    assert len(outbox) == 4


@override_settings(TOPSORT_CLICK_RATE="2/day")
def test_more_clicks_than_a_person_makes_are_left_out(drops: list[tuple[str, str, int]]) -> None:
    clicks = [build_sponsored("bid-1"), build_sponsored("bid-2")]
    assert take(clicks=clicks).recorded == 2
    more = take(clicks=[build_sponsored("bid-3")], impressions=[build_impression()])
    assert more == Intake(recorded=1)
    assert take(build_request(cookie="tsuid=shopper-2"), clicks=clicks).recorded == 2

    assert drops == [("clicks", "too_many_clicks", 1)]
    assert [type(event) for event in outbox].count(Click) == 4


@override_settings(TOPSORT_CLICK_ADDRESS_RATE="2/day")
def test_clicks_of_invented_shoppers_count_as_the_rate_of_their_address_says(
    drops: list[tuple[str, str, int]],
) -> None:
    for number in range(3):
        take(build_request(cookie=f"tsuid=shopper-{number}"), clicks=[build_sponsored()])
    other = build_request(cookie="tsuid=shopper-4")
    take_events(other, encode(clicks=[build_sponsored()]), address="192.0.2.7")

    assert len(outbox) == 3
    assert drops == [("clicks", "too_many_clicks", 1)]


@override_settings(TOPSORT_CLICK_RATE="1/minute")
def test_click_that_came_too_soon_counts_later(
    monkeypatch: pytest.MonkeyPatch, drops: list[tuple[str, str, int]]
) -> None:
    clock = Clock()
    monkeypatch.setattr("time.time", clock.time)
    assert take(clicks=[build_sponsored("bid-1"), build_sponsored("bid-2")]).recorded == 1
    clock.now += 60
    assert take(clicks=[build_sponsored("bid-2")]).recorded == 1

    assert drops == [("clicks", "too_many_clicks", 1)]


def test_clicks_that_have_waited_for_the_network_count() -> None:
    now = datetime.now(UTC)
    times = [(now - timedelta(minutes=2 * age)).isoformat() for age in range(61)]
    clicks = [build_sponsored(f"bid-{time}", occurredAt=time) for time in times]

    assert take(clicks=clicks).recorded == 61


@override_settings(TOPSORT_CLICK_RATE="1/day")
def test_clicks_of_clients_without_an_id_are_counted_by_their_address() -> None:
    clicks = [build_sponsored()]
    guest = {"cookie": ""}
    assert take(build_request(**guest), clicks=clicks).recorded == 1
    assert take(build_request(**guest), clicks=clicks).recorded == 0
    request = build_request(**guest)
    assert take_events(request, encode(clicks=clicks), address="192.0.2.7").recorded == 1
    cache.clear()
    assert take(build_request(**guest), clicks=clicks).recorded == 1


@override_settings(TOPSORT_CLICK_RATE="1/day")
def test_cookie_that_claims_an_address_costs_its_guests_no_click() -> None:
    clicks = [build_sponsored()]
    for bid in ("bid-1", "bid-2"):
        take(build_request(cookie="tsuid=127.0.0.1"), clicks=[build_sponsored(bid)])

    assert take(build_request(cookie=""), clicks=clicks).recorded == 1


@override_settings(TOPSORT_CLICK_RATE="1/day", TOPSORT_USER_ID=lambda r: r.META.get("HTTP_X_ME"))
def test_cookie_that_claims_the_shops_own_id_costs_its_customer_nothing() -> None:
    seen = {"clicks": [build_sponsored()], "impressions": [build_sponsored()]}
    assert take(build_request(cookie="tsuid=42"), **seen).recorded == 2
    assert take(build_request(x_me="42"), **seen).recorded == 2


def test_shopper_who_brings_the_id_of_the_first_answer_is_the_same() -> None:
    guest = build_request(cookie="")
    assert take(guest, clicks=[build_sponsored()]).recorded == 1
    (event,) = outbox
    later = build_request(cookie=f"tsuid={event.opaque_user_id}")
    assert take(later, clicks=[build_sponsored()]).recorded == 0


def test_only_the_first_refusals_are_named_and_one_line_says_how_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "django_topsort")
    secret = "secret@shop.example"
    events = [build_impression(id=secret, entity={"id": secret, "type": secret})] * 200
    before = accounts.get_counts()["impressions"]
    for _ in range(2):
        intake = take(impressions=events)

    after = accounts.get_counts()["impressions"]
    assert (intake.refused, len(intake.refusals)) == (200, MAX_NAMED)
    assert intake.message == "200 of the events were not taken; do not send them again"
    assert after["recorded"] - before["recorded"] == 400
    assert after["dropped"] - before["dropped"] == 400
    (line,) = caplog.records
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        "browser's events not taken kind=impressions reason=invalid count=200"
        " field=entity.type errCode=bad_request"
    )


@pytest.mark.parametrize("place", [" - at `$.mail@shop.example`", " - at `$.items`", " - at `$"])
def test_nothing_of_what_is_sent_is_logged(caplog: pytest.LogCaptureFixture, place: str) -> None:
    caplog.set_level("INFO", "django_topsort")
    for number in range(3):
        text = f"secret {number}" * 3000 + place
        events = [build_impression(clickType=text), build_impression(object={"type": text})]
        intake = take(clicks=events)
        assert intake.refusals[0].message.startswith("clickType: Invalid enum value 'secret")
        assert len(intake.refusals[0].message) == MAX_MESSAGE

    assert [line.getMessage() for line in caplog.records] == [
        "browser's events not taken kind=clicks reason=invalid count=1"
        f" field={field} errCode=bad_request"
        for field in ("clickType", "object.type")
    ]


def test_refusals_of_several_sorts_are_a_bad_request_together() -> None:
    intake = take(
        impressions=[build_sponsored("ts1.x"), 3], clicks=None, pageviews={"page": "home"}
    )

    assert intake.err_code == "bad_request"
    assert [(one.kind, one.index, one.message) for one in intake.refusals] == [
        ("impressions", 0, "resolvedBidId: this shop has not signed it"),
        ("impressions", 1, "event: it must be an object"),
        ("pageviews", 0, "pageviews: it must be a list of events"),
    ]


@pytest.mark.parametrize("given", ["x" * 301, "\ud800", 3, None, {}])
def test_id_that_cannot_be_told_back_is_not(given: Any) -> None:
    intake = take(impressions=[{"id": given, "entity": 3}])

    assert intake.refusals[0].id is None


def test_body_that_brings_nothing_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "django_topsort")
    intakes = [take_events(build_request(), body) for body in (b"{", b"[", b"[]", b"{}")]

    assert [(one.status, one.err_code) for one in intakes] == [
        (400, "invalid_json"),
        (400, "invalid_json"),
        (400, "bad_request"),
        (400, "empty_request"),
    ]
    assert len(caplog.records) == 3


def test_shopper_is_found_once_and_not_made() -> None:
    request, guest = build_request(), build_request(cookie="")
    collector, own = get_collector(request), get_collector(guest)

    first = find_shopper(request, collector)
    assert first is not None
    assert first.opaque_user_id == "shopper-1"
    assert find_shopper(request, collector) is first
    assert find_shopper(guest, own) is None
    assert "shopper" not in own.found
    take(guest, impressions=[build_impression()])
    assert find_shopper(guest, own) is None


def test_handler_of_logs_that_raises_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    def raise_it(record: logging.LogRecord) -> bool:
        raise OSError("disk full")

    monkeypatch.setattr(logging.getLogger("django_topsort.reporting"), "filters", [raise_it])

    assert take(impressions=[3, build_impression()]).recorded == 1
