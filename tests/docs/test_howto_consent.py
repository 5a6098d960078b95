"""docs/howto/consent.md: what it says of consent and Global Privacy Control holds."""

from __future__ import annotations

import json
import unittest
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from django.utils.module_loading import import_string

from django_topsort.backends.locmem import outbox
from django_topsort.shoppers import USER_HEADER
from django_topsort.signals import order_paid, order_placed
from django_topsort.testing import capture_events
from tests.docs.guides import BROWSER, Project, get_keys, read_settings

BLOCKS = [
    "shop/consent.py",
    "mysite/settings.py",
    "shop/views.py",
    "shop/pages.py",
    "shop/tests.py",
]
PAGE = """{% load topsort %}{% topsort_pageview page_type="home" %}{% topsort_impression "p-1" %}
{% topsort_script %}<p {% topsort_attrs "p-2" %}><a href="{% topsort_click_url "/p-3/" "p-3" %}">"""
YES = {"marketing": "yes"}

pytestmark = pytest.mark.django_db


def sell(request: HttpRequest) -> HttpResponse:
    """Send what the request's query names: ``placed``, ``paid`` or both."""
    order: Any = {
        "number": "1001",
        "placed_at": datetime(2026, 11, 1, tzinfo=UTC),
        "lines": [{"product": "p-1", "line_total": "9.90"}],
    }
    for signal in (order_placed, order_paid):
        word = "placed" if signal is order_placed else "paid"
        if word in request.GET:
            signal.send(
                sender=None, order=order, request=None if "bank" in request.GET else request
            )
    return HttpResponse()


@pytest.fixture(autouse=True)
def shop(project: Project) -> Iterator[Project]:
    """The shop of the guide, with a page that has all tags."""
    project.follow("consent")
    project.write("shop/templates/products.html", PAGE)
    urls = (
        path("", import_string("shop.pages.show_products")),
        path("banner/", import_string("shop.views.answer_banner")),
        path("sell/", sell),
    )
    with project.use(*urls, **read_settings("consent")):
        yield project


def visit(cookies: dict[str, str], **headers: str) -> tuple[Client, HttpResponse]:
    client = Client(headers={**BROWSER, **headers})
    client.cookies.load(cookies)
    response: Any = client.get("/")
    return client, response


def test_guide_has_these_blocks() -> None:
    assert get_keys("consent") == BLOCKS


@pytest.mark.parametrize(
    ("cookies", "headers", "allowed"),
    [
        ({}, {}, False),
        (YES, {}, True),
        ({"marketing": "no"}, {}, False),
        (YES, {"Sec-GPC": "1"}, False),
        (YES, {"Sec-GPC": "0"}, True),
    ],
)
def test_hook_says_who_may_be_tracked(
    cookies: dict[str, str], headers: dict[str, str], allowed: bool
) -> None:
    request = RequestFactory(headers=headers).get("/")
    request.COOKIES.update(cookies)

    assert import_string("shop.consent.may_track")(request) is allowed


def test_page_without_consent_says_nothing_and_sets_no_cookie() -> None:
    _, response = visit({})

    assert outbox == []
    assert "tsuid" not in response.cookies
    assert b"<script" not in response.content
    assert b"data-ts" not in response.content
    assert b'href="/p-3/"' in response.content


def test_page_with_consent_reports_and_sets_the_cookie() -> None:
    client, response = visit(YES)

    assert sorted(event.kind for event in outbox) == ["impressions", "pageviews"]
    assert "tsuid" in response.cookies
    assert b"<script" in response.content
    assert b"data-ts-product='p-2'" in response.content
    assert b'href="/topsort/click/' in response.content
    assert client.cookies["tsuid"].value


def test_cached_page_is_not_that_of_somebody_who_answered_otherwise() -> None:
    cache.clear()
    answers = [visit(YES), visit({}), visit(YES, **{"Sec-GPC": "1"})]

    assert [b"<script" in response.content for _, response in answers] == [True, False, False]
    assert {"Cookie", "Sec-GPC"} <= set(answers[1][1]["Vary"].split(", "))


def test_click_link_from_before_leads_on_and_is_not_counted() -> None:
    client, response = visit(YES)
    link = response.content.decode().partition('href="')[2].partition('"')[0]
    outbox.clear()
    del client.cookies["marketing"]

    assert client.get(link)["Location"] == "/p-3/"
    assert outbox == []
    client.cookies.load(YES)
    client.get(link)
    assert [event.kind for event in outbox] == ["clicks"]


def test_endpoint_answers_204_and_leaves_the_events_out() -> None:
    body = json.dumps({"impressions": [{"entity": {"type": "product", "id": "p-1"}}]})
    for cookies, count in (({}, 0), (YES, 1)):
        outbox.clear()
        client = Client(headers=BROWSER)
        client.cookies.load(cookies)
        response = client.post("/topsort/v2/events", body, content_type="application/json")
        assert response.status_code == 204
        assert len(outbox) == count
        assert USER_HEADER not in response


def test_who_withdraws_loses_the_id() -> None:
    client, _ = visit(YES)
    assert client.post("/banner/", {}).status_code == 302

    assert client.cookies["tsuid"].value == ""
    assert client.cookies["marketing"].value == ""


def test_who_agrees_has_the_cookie() -> None:
    client, _ = visit({})
    client.post("/banner/", {"marketing": "yes"})

    client.get("/")

    assert len(outbox) == 2


@pytest.mark.parametrize("steps", [["placed&paid"], ["placed", "paid"], ["placed", "paid&bank"]])
@pytest.mark.parametrize("allowed", [True, False])
def test_order_is_a_purchase_by_the_consent_at_the_checkout(
    steps: list[str],
    allowed: bool,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    client, _ = visit(YES)
    if not allowed:
        del client.cookies["marketing"]
    with capture_events() as events:
        for step in steps:
            (Client() if "bank" in step else client).get(f"/sell/?{step}")

    assert [event.kind for event in events] == ["purchases"] * allowed
    assert drops == []
    assert ("no_consent" in caplog.text) is not allowed


def test_tests_of_the_guide_pass() -> None:
    loaded = unittest.defaultTestLoader.loadTestsFromName("shop.tests")
    result = unittest.TestResult()
    loaded.run(result)

    assert (result.testsRun, result.errors, result.failures) == (3, [], [])


@pytest.mark.usefixtures("_raising")
def test_hook_that_raises_costs_the_events_and_not_the_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert visit(YES)[1].status_code == 200
    assert outbox == []
    client = Client(headers=BROWSER, raise_request_exception=False)
    body = '{"clicks": [{"resolvedBidId": "b-1"}]}'
    answer = client.post("/topsort/v2/events", body, content_type="application/json")
    assert answer.status_code == 500
    assert "ERROR" in {record.levelname for record in caplog.records}


def divide_by_zero(request: HttpRequest) -> bool:
    raise ZeroDivisionError


@pytest.fixture
def _raising(settings: Any) -> None:
    settings.TOPSORT_CONSENT = divide_by_zero


async def ask(request: HttpRequest) -> None: ...


def test_hook_that_is_async_is_named_in_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TOPSORT_CONSENT = ask

    visit(YES)

    assert "TOPSORT_CONSENT: an async function cannot be waited for here" in caplog.text
    assert outbox == []
