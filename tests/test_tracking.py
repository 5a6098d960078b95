"""Saying that something happened: what is recorded, what is left out, and what raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.events import (
    EVENT_KINDS,
    Click,
    Entity,
    Event,
    Impression,
    InteractionObject,
    Page,
    PageView,
    Placement,
)
from django_topsort.exceptions import InvalidEvent
from django_topsort.middleware import TopsortMiddleware
from django_topsort.signals import event_recorded
from django_topsort.tracking import (
    record,
    set_placement,
    track_click,
    track_impression,
    track_pageview,
    track_purchase,
)
from tests.logs import handle_log
from tests.sending.engine import build_event
from tests.shop.models import Product

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1"
SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
SECRET = "s3cret-of-the-shopper"

strict = override_settings(TOPSORT_STRICT=True)


@pytest.fixture
def request_() -> HttpRequest:
    factory = RequestFactory(headers={"user-agent": BROWSER})
    factory.cookies["tsuid"] = SHOPPER
    return factory.get("/shoes/", {"q": "red"})


@pytest.fixture
def recorded() -> Iterator[list[tuple[Any, Event, HttpRequest | None]]]:
    seen: list[tuple[Any, Event, HttpRequest | None]] = []

    def note(
        sender: Any, signal: Signal, event: Event, request: HttpRequest | None, **kwargs: object
    ) -> None:
        seen.append((sender, event, request))

    event_recorded.connect(note)
    yield seen
    event_recorded.disconnect(note)


def test_impression_of_a_bid_is_filled_in_from_the_request(request_: HttpRequest) -> None:
    event = track_impression(request_, "shoe-1", resolved_bid_id="bid-1", position=3)

    assert event is not None
    assert outbox == [event]
    assert event.resolved_bid_id == "bid-1"
    assert event.entity is None
    assert event.placement == Placement(path="/shoes/", position=3)
    assert event.opaque_user_id == SHOPPER
    assert event.device_type == "desktop"
    assert event.channel == "onsite"
    assert len(event.id) == 36
    assert (datetime.now(UTC) - event.occurred_at).total_seconds() < 60


@pytest.mark.parametrize("bid", [None, ""])
def test_impression_without_a_bid_is_organic(request_: HttpRequest, bid: str | None) -> None:
    event = track_impression(request_, Product(pk=7), resolved_bid_id=bid)

    assert event is not None
    assert event.entity == Entity(id="7", type="product")
    assert event.resolved_bid_id is None


def test_impression_of_a_vendor(request_: HttpRequest) -> None:
    event = track_impression(request_, 12, entity_type="vendor")

    assert event is not None
    assert event.entity == Entity(id="12", type="vendor")


def test_click_has_a_type(request_: HttpRequest) -> None:
    event = track_click(request_, "shoe-1", resolved_bid_id="bid-1", click_type="add-to-cart")

    assert outbox == [event]
    assert isinstance(event, Click)
    assert event.click_type == "add-to-cart"


@pytest.mark.parametrize("track", [track_impression, track_click])
def test_every_value_of_an_interaction_can_be_given(
    request_: HttpRequest, track: Callable[..., Impression | Click | None]
) -> None:
    page = Page(type="search", page_id="/search/", value="shoe")
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    given = {
        "id": "own-id",
        "occurred_at": time,
        "opaque_user_id": "own-user",
        "device_type": "mobile",
        "channel": "instore",
        "resolved_bid_id": "bid-1",
        "placement": Placement(path="/own/"),
        "object": InteractionObject(type="banner"),
        "additional_attribution": Entity(id="v-1", type="vendor"),
        "external_campaign_id": "campaign",
        "external_vendor_id": "vendor",
    }

    event = track(request_, "shoe-1", event_page=page, **given)

    assert event is not None
    assert {name: getattr(event, name) for name in given} == given
    assert event.page == page


def test_every_field_of_the_placement_can_be_given(request_: HttpRequest) -> None:
    event = track_impression(
        request_,
        "shoe-1",
        path="/own",
        component="/carousel/",
        position=1,
        page=2,
        page_size=24,
        product_id=Product(pk=5),
        category_ids=["shoes", 4],
        search_query="red",
    )

    assert event is not None
    assert event.placement == Placement(
        path="/own/carousel",
        position=1,
        page=2,
        page_size=24,
        product_id="5",
        category_ids=("shoes", "4"),
        search_query="red",
    )


def test_an_entity_of_ones_own_is_kept(request_: HttpRequest) -> None:
    entity = Entity(id="v-1", type="vendor")

    event = track_impression(request_, "shoe-1", entity=entity)

    assert event is not None
    assert event.entity == entity


def test_pageview_is_named_by_the_path(request_: HttpRequest) -> None:
    event = track_pageview(request_)

    assert outbox == [event]
    assert isinstance(event, PageView)
    assert event.page == Page(type="other", page_id="/shoes/")
    assert event.opaque_user_id == SHOPPER


def test_every_value_of_a_pageview_can_be_given(request_: HttpRequest) -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    event = track_pageview(
        request_,
        "cart",
        "basket",
        [Product(pk=1), "2"],
        id="own-id",
        occurred_at=time,
        opaque_user_id="own-user",
        device_type="mobile",
        channel="offsite",
    )

    assert event == PageView(
        page=Page(type="cart", page_id="basket", value=("1", "2")),
        id="own-id",
        occurred_at=time,
        opaque_user_id="own-user",
        device_type="mobile",
        channel="offsite",
    )


def test_all_events_of_a_request_name_one_new_shopper() -> None:
    request = RequestFactory().get("/", headers={"user-agent": BROWSER})

    track_impression(request, "shoe-1")
    track_click(request, "shoe-1")
    track_pageview(request)

    assert len({event.opaque_user_id for event in outbox}) == 1
    assert len({event.id for event in outbox}) == 3


def test_device_and_channel_are_those_of_request_and_settings() -> None:
    request = RequestFactory().get("/", headers={"user-agent": PHONE})

    with override_settings(TOPSORT_CHANNEL="instore"):
        event = track_pageview(request)

    assert event is not None
    assert event.device_type == "mobile"
    assert event.channel == "instore"


@override_settings(TOPSORT_USER_ID=lambda request: "account-7")
def test_shopper_may_come_from_a_hook(request_: HttpRequest) -> None:
    event = track_pageview(request_)

    assert event is not None
    assert event.opaque_user_id == "account-7"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"purpose": "prefetch"}),
        ("GET", {"x-moz": "prefetch"}),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}),
    ],
)
@pytest.mark.parametrize("track", [track_impression, track_click, track_pageview])
def test_nothing_is_reported_of_what_nobody_sees(
    method: str, headers: dict[str, str], track: Callable[..., Event | None]
) -> None:
    request = RequestFactory().generic(method, "/", headers={"user-agent": BROWSER, **headers})

    assert track(request, "other") is None
    assert outbox == []


@override_settings(TOPSORT_IGNORE_REQUEST=lambda request: "kiosk" in request.GET)
def test_nothing_is_reported_of_what_the_hook_ignores() -> None:
    kiosk = RequestFactory().get("/", {"kiosk": "1"})
    crawler = RequestFactory().get("/", headers={"user-agent": "Googlebot"})

    assert track_pageview(kiosk) is None
    assert track_pageview(crawler) is not None


@override_settings(TOPSORT_CONSENT=lambda request: False)
@pytest.mark.parametrize("track", [track_impression, track_click, track_pageview])
def test_nothing_is_reported_without_consent(
    request_: HttpRequest, track: Callable[..., Event | None]
) -> None:
    assert track(request_, "other") is None
    assert outbox == []


@override_settings(TOPSORT_PRODUCT_ID=lambda product: product.sku or None)
def test_a_product_that_topsort_does_not_know_is_left_out_silently(
    request_: HttpRequest, drops: list[object]
) -> None:
    assert track_impression(request_, Product(pk=1)) is None
    known = track_impression(request_, Product(pk=2, sku="sku-2"))

    assert known is not None
    assert known.entity == Entity(id="sku-2", type="product")
    assert drops == []


# What no type checker would let pass.
impress: Any = track_impression
do_click: Any = track_click
view: Any = track_pageview
place: Any = set_placement

WRONG: list[tuple[str, str, Callable[[HttpRequest], object]]] = [
    ("impressions", "product", impress),
    ("impressions", "product", lambda r: impress(r, None, entity=None, resolved_bid_id="")),
    ("impressions", "product", lambda r: impress(r, entity_type="vendor")),
    ("clicks", "product", lambda r: do_click(r, product=None)),
    ("impressions", "product", lambda r: impress(r, "")),
    ("impressions", "product", lambda r: impress(r, Product(name=SECRET))),
    ("impressions", "product", lambda r: impress(r, "", entity_type="vendor")),
    ("impressions", "entity.type", lambda r: impress(r, "1", entity_type=SECRET)),
    ("impressions", "entity", lambda r: impress(r, "1", entity=SECRET)),
    ("impressions", "placement", lambda r: impress(r, "1", placement=SECRET)),
    (
        "impressions",
        "placement",
        lambda r: impress(r, "1", placement=Placement(path="/"), position=1),
    ),
    ("impressions", "placement.path", lambda r: impress(r, "1", path=5)),
    (
        "impressions",
        "placement.path",
        lambda r: impress(r, "1", path=5, component="carousel"),
    ),
    ("impressions", "placement.position", lambda r: impress(r, "1", position=0)),
    ("impressions", "placement.position", lambda r: impress(r, "1", position=SECRET)),
    ("impressions", "placement.page", lambda r: impress(r, "1", page=-1)),
    ("impressions", "placement.page_size", lambda r: impress(r, "1", page_size=True)),
    (
        "impressions",
        "placement.product_id",
        lambda r: impress(r, "1", product_id=Product(name=SECRET)),
    ),
    (
        "impressions",
        "placement.category_ids",
        lambda r: impress(r, "1", category_ids=b"shoes"),
    ),
    (
        "impressions",
        "placement.category_ids",
        lambda r: impress(r, "1", category_ids=[Product(name=SECRET)]),
    ),
    (
        "impressions",
        "placement.search_query",
        lambda r: impress(r, "1", search_query=SECRET * 200),
    ),
    ("impressions", "id", lambda r: impress(r, "1", id=5)),
    ("impressions", "occurred_at", lambda r: impress(r, "1", occurred_at=SECRET)),
    ("impressions", "opaque_user_id", lambda r: impress(r, "1", opaque_user_id="")),
    ("impressions", "opaque_user_id", lambda r: impress(r, "1", opaque_user_id=[SECRET])),
    ("impressions", "device_type", lambda r: impress(r, "1", device_type=SECRET)),
    ("impressions", "channel", lambda r: impress(r, "1", channel=SECRET)),
    ("impressions", "positon", lambda r: impress(r, "1", positon=1)),
    ("impressions", "click_type", lambda r: impress(r, "1", click_type="like")),
    ("impressions", "request", lambda r: impress(None, "1")),
    ("clicks", "request", lambda r: do_click("/shoes/", "1")),
    ("clicks", "click_type", lambda r: do_click(r, "1", click_type=SECRET)),
    ("pageviews", "page.type", lambda r: view(r, "")),
    ("pageviews", "page.type", lambda r: view(r, [SECRET])),
    ("pageviews", "page.page_id", lambda r: view(r, "other", [SECRET])),
    ("pageviews", "page.value", lambda r: view(r, "search", value=object())),
    ("pageviews", "page.value", lambda r: view(r, "search", value=[SECRET, "b"])),
    ("pageviews", "page.value", lambda r: view(r, "PDP", value=Product(name=SECRET))),
    ("pageviews", "page.value", lambda r: view(r, "cart", value=[Product(), "1"])),
    ("pageviews", "page", lambda r: view(r, page="shoes")),
    ("pageviews", "request", lambda r: view(None)),
]


@pytest.mark.parametrize(("kind", "field", "track"), WRONG)
def test_wrong_data_raises_while_strict(
    kind: str, field: str, track: Callable[[HttpRequest], object], request_: HttpRequest
) -> None:
    with strict, pytest.raises(InvalidEvent) as caught:
        track(request_)

    assert caught.value.field == field
    assert outbox == []


@pytest.mark.parametrize(("kind", "field", "track"), WRONG)
def test_wrong_data_is_logged_and_counted_while_not_strict(
    kind: str,
    field: str,
    track: Callable[[HttpRequest], object],
    request_: HttpRequest,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = accounts.get_counts()[kind]

    assert track(request_) is None

    after = accounts.get_counts()[kind]
    assert outbox == []
    assert drops == [(kind, "invalid", 1)]
    assert after["dropped"] - before["dropped"] == 1
    assert after["waiting"] == before["waiting"]
    (line,) = caplog.records
    assert f"kind={kind} reason=invalid field={field} given=" in line.getMessage()
    assert SECRET not in caplog.text
    assert SHOPPER not in caplog.text


@pytest.mark.parametrize("track", [track_impression, track_click])
def test_a_product_is_asked_for_where_there_is_no_bid(
    request_: HttpRequest, track: Callable[..., object]
) -> None:
    with strict, pytest.raises(InvalidEvent) as caught:
        track(request_)

    said = "product: None is not allowed, it must be given where there is no resolved_bid_id"
    assert str(caught.value) == said


@pytest.mark.parametrize("track", [track_impression, track_click])
def test_a_bid_or_an_entity_does_without_a_product(
    request_: HttpRequest, track: Callable[..., Impression | Click | None]
) -> None:
    entity = Entity(id="7", type="product")
    with strict:
        sponsored = track(request_, resolved_bid_id="bid-1")
        organic = track(request_, entity=entity)
        built = track(request_, "7", entity=None)

    assert sponsored is not None
    assert (sponsored.resolved_bid_id, sponsored.entity) == ("bid-1", None)
    assert organic is not None
    assert organic.entity == entity
    assert built is not None
    assert built.entity == entity


@pytest.mark.parametrize("track", [track_impression, track_click, track_pageview])
def test_log_says_on_which_page_wrong_data_was(
    track: Callable[..., object], request_: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    track(request_, colour="red")

    (line,) = caplog.records
    assert "field=colour given=str path=/shoes/: there is no" in line.getMessage()


def test_log_says_on_which_page_a_hook_raised(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(TOPSORT_CONSENT=fail):
        track_pageview(request_)

    (line,) = caplog.records
    assert line.getMessage().endswith("error=ZeroDivisionError path=/shoes/")


@pytest.mark.parametrize("request_", [None, "", Product()], ids=["none", "text", "model"])
def test_log_says_no_page_where_there_is_no_request(
    request_: Any, caplog: pytest.LogCaptureFixture
) -> None:
    track_pageview(request_)

    (line,) = caplog.records
    assert "field=request" in line.getMessage()
    assert " path=" not in line.getMessage()


def test_each_field_of_a_kind_is_logged_within_a_minute(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        impress(request_, "1", position=0)
        impress(request_, "1", page=0)
        impress(request_)

    fields = [line.getMessage().split()[4] for line in caplog.records]
    assert fields == ["field=placement.position", "field=placement.page", "field=product"]


def test_misspelled_argument_is_told_the_right_ones(request_: HttpRequest) -> None:
    with strict, pytest.raises(InvalidEvent) as caught:
        track_impression(request_, "1", positon=3)  # type: ignore[call-arg]

    assert str(caught.value).startswith(
        "positon: 3 is not allowed, there is no such argument; there are additional_attribution, "
    )


@override_settings(DEBUG=True)
def test_debug_is_strict(request_: HttpRequest) -> None:
    with pytest.raises(InvalidEvent, match=r"placement\.position: 0 is not allowed"):
        track_impression(request_, "1", position=0)


def fail(request: HttpRequest) -> str:
    raise ZeroDivisionError


@pytest.mark.parametrize("name", ["TOPSORT_USER_ID", "TOPSORT_CONSENT", "TOPSORT_IGNORE_REQUEST"])
def test_a_hook_that_raises_breaks_no_page(
    name: str, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(**{name: fail}):
        for _ in range(24):
            assert track_impression(RequestFactory().get("/"), "1") is None

    assert drops == [("impressions", "invalid", 1)] * 24
    (line,) = caplog.records  # and not 24 tracebacks
    assert "error=ZeroDivisionError" in line.getMessage()
    assert line.exc_info is not None


async def answer_later(request: HttpRequest) -> None:
    """Is never waited for."""


@pytest.mark.parametrize("name", ["TOPSORT_CONSENT", "TOPSORT_IGNORE_REQUEST"])
def test_an_async_hook_is_said_and_is_no_answer(
    name: str, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(**{name: answer_later}):
        assert track_impression(RequestFactory().get("/"), "1") is None

    assert drops == [("impressions", "invalid", 1)]
    assert "error=TopsortConfigurationError" in caplog.text


@override_settings(TOPSORT_STRICT=True, TOPSORT_USER_ID=fail)
def test_a_hook_that_raises_is_seen_while_strict(request_: HttpRequest) -> None:
    with pytest.raises(ZeroDivisionError):
        track_pageview(request_)


def test_placement_holds_for_what_follows(request_: HttpRequest) -> None:
    set_placement(request_, page=2, category_ids=(str(n) for n in (1, 2)), component="list")

    first = track_impression(request_, "1", position=1)
    second = track_click(request_, "2", position=2, page=3, component="")
    assert first is not None
    assert second is not None

    assert first.placement == Placement(
        path="/shoes/list", position=1, page=2, category_ids=("1", "2")
    )
    assert second.placement == Placement(
        path="/shoes/list", position=2, page=3, category_ids=("1", "2")
    )


def test_placement_is_replaced_as_a_whole(request_: HttpRequest) -> None:
    set_placement(request_, page=2, page_size=24)
    set_placement(request_, page=3, path="/all/", search_query="")

    event = track_impression(request_, "1")

    assert event is not None
    assert event.placement == Placement(path="/all/", page=3)


@pytest.mark.parametrize(
    ("field", "set_wrongly"),
    [("colour", lambda r: place(r, colour="red")), ("request", lambda r: place(None, page=1))],
)
def test_wrong_placement_loses_no_event(
    field: str,
    set_wrongly: Callable[[HttpRequest], object],
    request_: HttpRequest,
    drops: list[object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = accounts.get_counts()

    for _ in range(3):
        assert set_wrongly(request_) is None

    assert drops == []
    assert accounts.get_counts() == before
    (line,) = caplog.records
    assert f"not used kind=placement field={field} given=" in line.getMessage()
    with strict, pytest.raises(InvalidEvent) as caught:
        set_wrongly(request_)
    assert caught.value.field == field


def test_placement_whose_hook_raises_loses_no_event(
    request_: HttpRequest, drops: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(TOPSORT_PRODUCT_ID=fail):
        set_placement(request_, product_id=Product(pk=1))

    assert drops == []
    (line,) = caplog.records
    assert line.getMessage() == "not used kind=placement error=ZeroDivisionError path=/shoes/"
    assert line.exc_info is not None


class OwnClick(Click, frozen=True, kw_only=True):
    """Has a field that Topsort does not know."""

    colour: str = "red"


class OwnPageView(PageView, frozen=True, kw_only=True):
    """Has the fields of its base alone."""


PAGE = Page(type="home", page_id="/")
NO_EVENTS: list[tuple[str | None, Any]] = [
    (None, None),
    (None, "click"),
    (None, {"kind": "clicks"}),
    (None, Click),
    (None, PAGE),
    ("clicks", OwnClick(opaque_user_id="u", resolved_bid_id="bid")),
    ("pageviews", OwnPageView(opaque_user_id="u", page=PAGE)),
]


@pytest.mark.parametrize("has_request", [True, False])
@pytest.mark.parametrize(("kind", "event"), NO_EVENTS)
def test_what_is_no_event_is_not_recorded(
    kind: str | None,
    event: Any,
    has_request: bool,
    request_: HttpRequest,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = request_ if has_request else None

    record(event, request)

    assert outbox == []
    assert drops == ([(kind, "invalid", 1)] if kind else [])
    (line,) = caplog.records
    assert "field=event given=" in line.getMessage()
    with strict, pytest.raises(InvalidEvent, match=r"event: .* it must be an Impression"):
        record(event, request)


def test_what_is_no_event_costs_no_other_of_the_request() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        track_pageview(request)
        record(track_click(request, ""), request)  # type: ignore[arg-type]
        return HttpResponse("page")

    request = RequestFactory(headers={"user-agent": BROWSER}).get("/")

    assert TopsortMiddleware(view)(request).status_code == 200
    assert [event.kind for event in outbox] == ["pageviews"]


@pytest.mark.parametrize(
    ("hooks", "kinds"),
    [
        ({}, [*EVENT_KINDS]),
        ({"TOPSORT_IGNORE_REQUEST": lambda request: True}, ["purchases"]),
        ({"TOPSORT_CONSENT": lambda request: False}, []),
    ],
)
def test_record_leaves_out_what_the_request_must_not_report(
    hooks: dict[str, Any],
    kinds: list[str],
    request_: HttpRequest,
    drops: list[object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with strict, override_settings(**hooks):
        for kind in EVENT_KINDS:
            record(build_event(kind), request_)

    assert [event.kind for event in outbox] == kinds
    assert drops == []
    assert caplog.records == []


@override_settings(TOPSORT_CONSENT=fail)
def test_record_with_a_hook_that_raises_breaks_no_page(
    request_: HttpRequest, drops: list[tuple[str, str, int]]
) -> None:
    record(build_event("clicks"), request_)
    record(build_event("purchases"), request_)

    assert outbox == []
    assert drops == [("clicks", "invalid", 1), ("purchases", "invalid", 1)]


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_request_of_a_bank_cannot_refuse_for_a_shopper_who_is_known(request_: HttpRequest) -> None:
    lines = [{"product_id": "shoe-1", "quantity": 1, "unit_price": "5.00"}]

    track_purchase({"number": "1001", "lines": lines}, request_, opaque_user_id="buyer")

    assert [event.opaque_user_id for event in outbox] == ["buyer"]


def test_record_refuses_what_is_no_request(drops: list[tuple[str, str, int]]) -> None:
    record(build_event("clicks"), "/shoes/")  # type: ignore[arg-type]

    assert outbox == []
    assert drops == [("clicks", "invalid", 1)]


def test_a_log_handler_that_raises_breaks_no_page(request_: HttpRequest) -> None:
    def fail_log(line: logging.LogRecord) -> None:
        raise ZeroDivisionError

    before = accounts.get_counts()
    with handle_log(fail_log, logging.ERROR):
        assert track_impression(request_, "") is None
        set_placement(request_, colour="red")  # type: ignore[call-arg]
        record(None, request_)  # type: ignore[arg-type]

    after = accounts.get_counts()
    assert after["impressions"]["dropped"] - before["impressions"]["dropped"] == 1
    assert after["clicks"] == before["clicks"]


def test_record_delivers_a_finished_event_at_once_without_a_request() -> None:
    event = PageView(page=Page(type="home", page_id="/"), opaque_user_id="u")

    record(event)

    assert outbox == [event]


def test_event_recorded_tells_event_and_request(
    request_: HttpRequest, recorded: list[tuple[Any, Event, HttpRequest | None]]
) -> None:
    impression = track_impression(request_, "1")
    outside = PageView(page=Page(type="home", page_id="/"), opaque_user_id="u")
    record(outside)

    assert recorded == [(Impression, impression, request_), (PageView, outside, None)]


def test_a_receiver_that_raises_costs_no_event(request_: HttpRequest) -> None:
    def receiver(**kwargs: object) -> None:
        raise ZeroDivisionError

    event_recorded.connect(receiver)
    try:
        event = track_impression(request_, "1")
    finally:
        event_recorded.disconnect(receiver)

    assert outbox == [event]


async def test_an_async_receiver_on_an_event_loop_costs_no_event(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    async def receiver(**kwargs: object) -> None: ...

    event_recorded.connect(receiver)
    try:
        event = track_impression(request_, "1")
    finally:
        event_recorded.disconnect(receiver)

    assert outbox == [event]
    assert "event_recorded not announced kind=impressions" in caplog.text


@override_settings(TOPSORT_BACKENDS={"default": "nowhere.EventBackend"})
def test_a_backend_that_cannot_be_imported_breaks_no_page(
    request_: HttpRequest, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    assert track_impression(request_, "1") is not None

    assert drops == [("impressions", "no_backend", 1)]
