"""Click links: where they may lead, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.utils.functional import lazystr

from django_topsort.backends.locmem import outbox
from django_topsort.clicks import read_click, sign_click
from django_topsort.events import Click, Entity, InteractionObject, Page
from django_topsort.exceptions import InvalidEvent, InvalidToken, TopsortConfigurationError
from django_topsort.following import follow_click
from django_topsort.links import build_click_url
from django_topsort.shoppers import Shopper, sign_shopper
from django_topsort.traffic import split_repeats
from tests.shop.models import Product
from tests.test_clicks import Clock

urlpatterns: list[object] = []  # the package's URLs are not included

PREFIX = "/topsort/click/"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().get("/shoes/", headers=BROWSER)


def get_target(url: str) -> str:
    assert url.startswith(PREFIX)
    return read_click(url.removeprefix(PREFIX)).target


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/shoe/1/?size=42#top", "/shoe/1/?size=42#top"),
        (lazystr("/shoe/1/"), "/shoe/1/"),
        ("http://testserver/shoe/1/", "http://testserver/shoe/1/"),
        ("https://testserver/shoe/1/", "https://testserver/shoe/1/"),
        ("//testserver/shoe/1/", "//testserver/shoe/1/"),
        ("https://brand.example/shoe/", "https://brand.example/shoe/"),
    ],
)
@override_settings(TOPSORT_CLICK_HOSTS=["brand.example"])
def test_link_leads_on(request_: HttpRequest, target: object, leads_to: str) -> None:
    assert get_target(build_click_url(request_, target, "shoe-1")) == leads_to


UNSAFE = [
    "",
    None,
    # A relative address would be taken from our own address on.
    "1/",
    "?page=2",
    "#reviews",
    "//evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "https:///evil.example",
    "http://testserver@evil.example/",
    "https://testserver.evil.example/",
    "\t//evil.example/",
    "..//evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://testserver/",
    "http://[",
]


@pytest.mark.parametrize("target", UNSAFE)
def test_link_to_elsewhere_is_refused(request_: HttpRequest, target: str | None) -> None:
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        build_click_url(request_, target, "shoe-1")

    assert caught.value.field == "target"


@pytest.mark.parametrize("target", UNSAFE)
def test_link_to_elsewhere_is_left_as_it_is(
    request_: HttpRequest, target: str | None, drops: list[tuple[str, str, int]]
) -> None:
    assert build_click_url(request_, target, "shoe-1") == (target or "")
    assert drops == [("clicks", "invalid", 1)]


class Unprintable:
    """Has no text."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def test_link_to_what_has_no_text_breaks_no_page(
    request_: HttpRequest, drops: list[tuple[str, str, int]]
) -> None:
    assert build_click_url(request_, Unprintable(), "shoe-1") == ""
    assert drops == [("clicks", "invalid", 1)]
    with override_settings(TOPSORT_STRICT=True), pytest.raises(ZeroDivisionError):
        build_click_url(request_, Unprintable(), "shoe-1")


@pytest.mark.parametrize("hosts", [None, 5, "brand.example"])
def test_link_of_this_site_does_without_a_list_of_hosts(request_: HttpRequest, hosts: Any) -> None:
    with override_settings(TOPSORT_CLICK_HOSTS=hosts, TOPSORT_STRICT=True):
        url = build_click_url(request_, "/shoe/1/", "shoe-1")

        assert follow_click(request_, url.removeprefix(PREFIX)) == "/shoe/1/"
        with pytest.raises(InvalidEvent):
            build_click_url(request_, "https://brand.example/", "1")


def test_link_of_a_secure_page_leads_to_no_insecure_one() -> None:
    request = RequestFactory().get("/", secure=True, headers=BROWSER)

    assert build_click_url(request, "http://testserver/", "1") == "http://testserver/"


def test_link_says_the_click_and_nothing_of_the_shopper(request_: HttpRequest) -> None:
    url = build_click_url(
        request_,
        "/shoe/1/",
        Product(pk=1),
        id="own-id",
        opaque_user_id="own-user",
        device_type="mobile",
        position=3,
        category_ids=["shoes"],
    )

    assert read_click(url.removeprefix(PREFIX)).fields == {
        "channel": "onsite",
        "entity": {"id": "1", "type": "product"},
        "placement": {"path": "/shoes/", "position": 3, "categoryIds": ["shoes"]},
    }


def test_links_of_a_page_are_told_apart(request_: HttpRequest) -> None:
    urls = {build_click_url(request_, "/shoe/1/", "shoe-1") for _ in range(3)}

    assert len(urls) == 3


@pytest.mark.parametrize(
    "hooks",
    [{"TOPSORT_CONSENT": lambda r: False}, {"TOPSORT_IGNORE_REQUEST": lambda r: True}],
)
def test_link_leads_straight_on_where_nothing_is_reported(
    request_: HttpRequest, hooks: dict[str, Callable[[HttpRequest], bool]]
) -> None:
    with override_settings(**hooks):
        assert build_click_url(request_, "/shoe/1/", "shoe-1") == "/shoe/1/"


@override_settings(TOPSORT_PRODUCT_ID=lambda product: None)
def test_link_to_a_product_that_topsort_does_not_know_leads_straight_on(
    request_: HttpRequest, drops: list[object]
) -> None:
    assert build_click_url(request_, "/shoe/1/", Product(pk=1)) == "/shoe/1/"
    assert drops == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"position": 0}, "placement.position"),
        ({"click_type": "look"}, "click_type"),
        ({"colour": "red"}, "colour"),
        ({"search_query": "é" * 2048, "external_vendor_id": "è" * 2048}, "target"),
    ],
)
def test_link_with_wrong_data_leads_straight_on(
    request_: HttpRequest,
    fields: dict[str, Any],
    field: str,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What cannot be compressed does not fit into a link.
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(2048))
    fields = {name: noise if "é" in str(v) or "è" in str(v) else v for name, v in fields.items()}

    assert build_click_url(request_, "/shoe/1/", "shoe-1", **fields) == "/shoe/1/"
    assert drops == [("clicks", "invalid", 1)]
    assert f"field={field} " in caplog.text
    assert " path=/shoes/: " in caplog.text
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        build_click_url(request_, "/shoe/1/", "shoe-1", **fields)
    assert caught.value.field == field


def test_link_without_a_request_leads_straight_on(drops: list[tuple[str, str, int]]) -> None:
    url = build_click_url(None, "/shoe/1/", "shoe-1")  # type: ignore[arg-type]

    assert url == "/shoe/1/"
    assert drops == [("clicks", "invalid", 1)]


@override_settings(ROOT_URLCONF="tests.test_links")
def test_link_without_the_packages_urls_says_what_to_add(
    request_: HttpRequest, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(24):
        assert build_click_url(request_, "/shoe/1/", "shoe-1") == "/shoe/1/"
    assert len(drops) == 24
    assert len(caplog.records) == 1
    with (
        override_settings(TOPSORT_STRICT=True),
        pytest.raises(TopsortConfigurationError, match=r'include\("django_topsort.urls"\)'),
    ):
        build_click_url(request_, "/shoe/1/", "shoe-1")


def test_followed_link_reports_what_it_says(request_: HttpRequest) -> None:
    page = Page(type="category", page_id="/shoes/")
    given: dict[str, Any] = {
        "resolved_bid_id": "bid-1",
        "object": InteractionObject(type="listing"),
        "additional_attribution": Entity(id="v-1", type="vendor"),
        "external_campaign_id": "campaign",
        "external_vendor_id": "vendor",
        "click_type": "like",
        "channel": "instore",
        "path": "/shoes/",
        "position": 3,
    }
    url = build_click_url(request_, "/shoe/1/", "shoe-1", event_page=page, **given)
    clicked = RequestFactory().get(url, headers={"user-agent": "Mozilla/5.0 (iPhone) Mobile"})

    target = follow_click(clicked, url.removeprefix(PREFIX))

    assert target == "/shoe/1/"
    (event,) = outbox
    assert isinstance(event, Click)
    assert event.placement is not None
    assert event.device_type == "mobile"
    assert event.page == page
    assert (event.placement.path, event.placement.position) == ("/shoes/", 3)
    for name in set(given) - {"path", "position"}:
        assert getattr(event, name) == given[name]


def test_followed_link_of_another_release_leads_on(
    request_: HttpRequest, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    token = sign_click("/shoe/1/", {"resolvedBidId": "bid-1", "colour": "secret"})

    assert follow_click(request_, token) == "/shoe/1/"
    assert outbox == []
    assert drops == [("clicks", "invalid", 1)]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "content", [{"resolvedBidId": "bid-1", "colour": "x"}, {"channel": "x"}, {}]
)
def test_log_of_a_followed_link_does_not_hold_its_token(
    content: dict[str, Any], client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    token = sign_click("/shoe/1/", content)

    response = client.get(f"{PREFIX}{token}", headers=BROWSER)

    assert response["Location"] == "/shoe/1/"
    assert "left out kind=clicks" in caplog.text
    assert " path=/topsort/click/<str:token>" in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize("name", ["TOPSORT_CONSENT", "TOPSORT_USER_ID"])
def test_followed_link_leads_on_where_a_hook_raises(
    request_: HttpRequest, name: str, drops: list[tuple[str, str, int]]
) -> None:
    def fail(request: HttpRequest) -> str:
        raise ZeroDivisionError

    with override_settings(**{name: fail}):
        assert follow_click(request_, sign_click("/shoe/1/", {})) == "/shoe/1/"
    assert drops == [("clicks", "invalid", 1)]


def test_link_to_a_host_that_is_allowed_no_more_is_refused(request_: HttpRequest) -> None:
    with override_settings(TOPSORT_CLICK_HOSTS=["brand.example"]):
        url = build_click_url(request_, "https://brand.example/", "1")

    with pytest.raises(InvalidToken, match="tampered"):
        follow_click(request_, url.removeprefix(PREFIX))
    assert outbox == []


# Who follows it, and how often


def follow(url: str, cookie: str = "shopper-1", **extra: Any) -> None:
    headers = {**BROWSER, **extra.pop("headers", {})}
    request = RequestFactory().get(url, headers=headers, **extra)
    if cookie:
        request.COOKIES["tsuid"] = cookie
    assert follow_click(request, url.removeprefix(PREFIX)) == "/shoe/1/"


def build_url(bid: str | None = "bid-1", **fields: Any) -> str:
    request = RequestFactory().get("/shoes/", headers=BROWSER)
    return build_click_url(request, "/shoe/1/", "shoe-1", resolved_bid_id=bid, **fields)


def report(bid: str = "bid-1", shopper: str = "shopper-1", **fields: Any) -> bool:
    """Do as the script of a page, whose click comes by the endpoint; return whether it counts."""
    click = Click(opaque_user_id=shopper, resolved_bid_id=bid, **fields)
    return split_repeats([click], Shopper(shopper, "cookie").cache_name)[0] == [click]


def test_click_by_a_link_counts_once_beside_the_scripts(drops: list[tuple[str, str, int]]) -> None:
    assert report()
    follow(build_url())
    assert outbox == []
    assert drops == [("clicks", "duplicate", 1)]

    follow(build_url("bid-2"))
    assert not report("bid-2")
    assert len(outbox) == 1
    assert report("bid-2", shopper="shopper-2")
    assert report("bid-2", click_type="like")


def test_clicks_by_two_links_of_one_bid_count_once(drops: list[tuple[str, str, int]]) -> None:
    follow(build_url())
    follow(build_url())
    follow(build_url(click_type="like"))

    assert len(outbox) == 2
    assert drops == [("clicks", "duplicate", 1)]


def test_clicks_by_two_links_without_a_bid_count_each(drops: list[object]) -> None:
    for _ in range(2):
        follow(build_url(None))

    assert len(outbox) == 2
    assert drops == []


@override_settings(TOPSORT_DUPLICATE_WINDOW=0)
def test_clicks_by_two_links_of_one_bid_count_each_where_no_window_is_set() -> None:
    for _ in range(2):
        follow(build_url())

    assert len(outbox) == 2


def test_repeat_of_one_link_is_counted_as_dropped(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "django_topsort")
    url = build_url(None)
    for _ in range(3):
        follow(url)

    assert len(outbox) == 1
    assert drops == [("clicks", "duplicate", 1)] * 2
    lines = [line.getMessage() for line in caplog.records if line.levelname == "INFO"]
    assert lines == ["dropped kind=clicks reason=duplicate count=1"]


@override_settings(TOPSORT_CLICK_RATE="2/day")
@pytest.mark.parametrize(
    ("cookie", "extra"),
    [
        ("shopper-1", {}),
        ("", {}),
        ("", {"headers": {"x-forwarded-for": "192.0.2.7"}}),
        ("", {"headers": {"user-agent": "Mozilla/5.0 \ud800"}}),
    ],
)
def test_flood_of_clicks_is_led_on_and_counted_as_dropped(
    cookie: str, extra: dict[str, Any], drops: list[tuple[str, str, int]]
) -> None:
    for number in range(4):
        follow(build_url(f"bid-{number}"), cookie, **extra)

    assert len(outbox) == 2
    assert drops == [("clicks", "too_many_clicks", 1)] * 2
    follow(build_url(), "shopper-2")
    follow(build_url(), "", REMOTE_ADDR="192.0.2.8")
    follow(build_url(), "", headers={"x-forwarded-for": "192.0.2.9"})
    follow(build_url(), "", headers={"user-agent": "Mozilla/5.0 Safari/600"})
    assert len(outbox) == 6


@override_settings(TOPSORT_CLICK_ADDRESS_RATE="2/day")
def test_flood_of_clicks_of_one_address_counts_as_its_rate_says(
    drops: list[tuple[str, str, int]],
) -> None:
    for number in range(3):
        follow(build_url(), f"shopper-{number}")
    follow(build_url(), "shopper-4", REMOTE_ADDR="192.0.2.8")
    follow(build_url(), "shopper-5", headers={"x-forwarded-for": "127.0.0.1"})

    assert len(outbox) == 4
    assert drops == [("clicks", "too_many_clicks", 1)]


@override_settings(TOPSORT_CLICK_RATE="1/minute")
def test_click_that_came_too_soon_counts_later(
    monkeypatch: pytest.MonkeyPatch, drops: list[tuple[str, str, int]]
) -> None:
    clock = Clock()
    monkeypatch.setattr("time.time", clock.time)
    url = build_url("bid-1")
    follow(build_url("bid-2"))
    follow(url)
    assert drops == [("clicks", "too_many_clicks", 1)]

    clock.now += 60
    follow(url)
    assert [getattr(event, "resolved_bid_id", None) for event in outbox] == ["bid-2", "bid-1"]


def get_customer(request: HttpRequest) -> str | None:
    return request.META.get("HTTP_X_CUSTOMER")


@override_settings(TOPSORT_USER_ID=get_customer, TOPSORT_CLICK_RATE="1/day")
def test_cookie_that_claims_the_shops_own_id_costs_nobody_a_click() -> None:
    url = build_url()
    follow(url, "42")
    follow(url, "", headers={"x-customer": "42"})

    assert [event.opaque_user_id for event in outbox] == ["42", "42"]


@override_settings(TOPSORT_CLICK_RATE="1/day")
def test_header_that_anybody_may_send_takes_no_click_from_an_address() -> None:
    follow(build_url("bid-1"), "", headers={"x-forwarded-for": "127.0.0.1"})
    follow(build_url("bid-2"), "")

    assert len(outbox) == 2


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"user-agent": "Googlebot/2.1"}, "crawler"),
        ({"user-agent": "Mozilla/5.0 HeadlessChrome/131.0"}, "automated"),
        ({"sec-purpose": "prefetch"}, "prefetch"),
    ],
)
def test_click_of_a_program_is_counted_as_dropped(
    headers: dict[str, str], reason: str, drops: list[tuple[str, str, int]]
) -> None:
    follow(build_url(), headers=headers)

    assert outbox == []
    assert drops == [("clicks", reason, 1)]
    assert report()  # what the program did is not remembered as the shopper's


@pytest.mark.parametrize(
    ("destination", "site"),
    [
        ("image", "cross-site"),
        ("iframe", "cross-site"),
        ("iframe", "same-site"),
        ("script", ""),
        ("empty", "none"),
    ],
)
def test_link_that_another_site_embeds_is_no_click(
    destination: str,
    site: str,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    follow(build_url(), headers={"sec-fetch-dest": destination, "sec-fetch-site": site})

    assert outbox == []
    assert drops == [("clicks", "embedded", 1)]
    assert not [line for line in caplog.records if line.levelname == "WARNING"]
    assert report()


@override_settings(TOPSORT_CONSENT=lambda request: not request.COOKIES)
def test_link_that_another_site_embeds_counts_for_nothing_without_consent(
    drops: list[object],
) -> None:
    follow(build_url(), headers={"sec-fetch-dest": "image", "sec-fetch-site": "cross-site"})

    assert (outbox, drops) == ([], [])


@pytest.mark.parametrize(
    ("destination", "site"),
    [
        ("document", "none"),  # out of a mail
        ("document", "cross-site"),  # out of a mail that is read in a browser
        ("document", "same-origin"),
        ("iframe", "same-origin"),
        ("empty", "same-origin"),  # a page that a script replaces
        ("", "cross-site"),
    ],
)
def test_link_that_somebody_follows_is_a_click(destination: str, site: str) -> None:
    follow(build_url(), headers={"sec-fetch-dest": destination, "sec-fetch-site": site})

    assert len(outbox) == 1


@override_settings(TOPSORT_CONSENT=lambda request: not request.COOKIES)
def test_click_of_a_program_counts_for_nothing_without_consent(drops: list[object]) -> None:
    follow(build_url(), headers={"user-agent": "Googlebot/2.1"})

    assert (outbox, drops) == ([], [])


def test_head_request_is_no_click(drops: list[object]) -> None:
    url = build_url()
    request = RequestFactory().head(url, headers=BROWSER)

    assert follow_click(request, url.removeprefix(PREFIX)) == "/shoe/1/"
    assert (outbox, drops) == ([], [])


@override_settings(TOPSORT_USER_HEADER=True, TOPSORT_CLICK_RATE="1/day")
def test_shopper_by_the_header_is_told_from_others_of_the_same_address() -> None:
    for name in ("shopper-1", "shopper-2"):
        follow(build_url(), "", headers={"x-topsort-user": sign_shopper(name)})

    assert [event.opaque_user_id for event in outbox] == ["shopper-1", "shopper-2"]
