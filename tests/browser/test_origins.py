"""Whose pages may post."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import override_settings

from django_topsort.browser.origins import allow_reading, is_own_page
from tests.browser.sending import build_request

ALLOWED = ["https://m.shop.example", "http://localhost:5173", "https://*.bad", "https://x:port", 7]


@pytest.mark.parametrize(
    ("origin", "site", "is_own"),
    [
        ("", "", True),
        ("http://testserver", "same-origin", True),
        ("", "same-origin", True),
        ("http://testserver", "", True),
        ("https://TestServer", "", True),
        ("https://testserver:443", "", True),
        ("http://testserver:8000", "", False),
        ("http://shop.testserver", "", False),
        ("null", "", False),
        ("https://", "", False),
        ("https://testserver:port", "", False),
        ("https://evil.example", "", False),
        ("https://evil.example", "cross-site", False),
        ("null", "cross-site", False),
        ("http://www.testserver", "same-site", False),
        ("", "cross-site", False),
        ("", "none", False),
        ("https://m.shop.example", "cross-site", True),
        ("https://M.shop.example:443", "same-site", True),
        ("https://m.shop.example", "", True),
        ("http://m.shop.example", "", False),
        ("https://m.shop.example:8443", "", False),
        ("http://localhost:5173", "cross-site", True),
    ],
)
@override_settings(TOPSORT_ALLOWED_ORIGINS=ALLOWED)
def test_pages_of_the_shop_may_post_and_others_not(origin: str, site: str, is_own: bool) -> None:
    request = build_request(origin=origin, sec_fetch_site=site)

    assert is_own_page(request) is is_own


def test_host_with_a_port_is_told_from_others() -> None:
    named = {"host": "testserver:8000", "sec_fetch_site": ""}

    assert is_own_page(build_request(origin="http://testserver:8000", **named))
    assert not is_own_page(build_request(origin="http://testserver:8001", **named))
    assert not is_own_page(build_request(origin="http://testserver", **named))


@pytest.mark.parametrize("allowed", [None, "https://m.shop.example", 7])
def test_setting_that_lists_nothing_allows_nothing(allowed: Any) -> None:
    with override_settings(TOPSORT_ALLOWED_ORIGINS=allowed):
        request = build_request(origin="https://m.shop.example", sec_fetch_site="cross-site")
        response = HttpResponse()
        allow_reading(request, response)

        assert not is_own_page(request)
        assert "Access-Control-Allow-Origin" not in response


@override_settings(TOPSORT_ALLOWED_ORIGINS=ALLOWED)
def test_answer_is_for_the_allowed_page_alone() -> None:
    response = HttpResponse(headers={"Vary": "Cookie"})
    allow_reading(build_request(origin="https://m.shop.example"), response)

    assert response["Access-Control-Allow-Origin"] == "https://m.shop.example"
    assert response["Access-Control-Allow-Credentials"] == "true"
    assert response["Vary"] == "Cookie, Origin"
    assert "Access-Control-Allow-Methods" not in response

    for origin in ("https://evil.example", ""):
        response = HttpResponse()
        allow_reading(build_request(origin=origin), response)

        assert "Access-Control-Allow-Origin" not in response
        assert response["Vary"] == "Origin"
